//! `sealway`: the one binary.

use std::ffi::c_long;
use std::process::ExitCode;

use libmimalloc_sys::{_mi_option_last, mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    give_back_large_memory();
    ExitCode::from(gateway::cli::run())
}

/// The allocator keeps what is freed for a second, in case that it is wanted again: a few large bodies in a row would add
/// up. From this size on, memory is the system's again at once.
#[expect(unsafe_code, reason = "options of the allocator are set by a C function")]
fn give_back_large_memory() {
    // SAFETY: the function stores a number under an option that this release of mimalloc has, whenever it is called.
    unsafe { mi_option_set(ARENA_MAX_OBJECT_SIZE, LARGE_KIB) };
}

/// `mi_option_arena_max_object_size`: the last but one of `mi_option_t`, which the crate gives no name.
const ARENA_MAX_OBJECT_SIZE: mi_option_t = _mi_option_last - 2;
const _: () =
    assert!(_mi_option_last == 47, "options of another mimalloc: find arena_max_object_size");
const LARGE_KIB: c_long = 8 * 1024;
