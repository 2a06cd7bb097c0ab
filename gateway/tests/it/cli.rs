//! The commands as their users meet them, through the real binary.

use std::process::Command;

use crate::process::without_own_variables;

#[test]
fn a_reader_that_goes_away_ends_no_command_badly() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_sealway");

    // `true` reads nothing at all: every write of the command meets a closed pipe.
    for command in ["config show", "config show --origin", "--help", "doctor", "ledger fsck"] {
        let script = format!("(sleep 0.2; {program} {command} 2>&1; echo $? > status) | true");
        let ran = without_own_variables(Command::new("bash"))
            .args(["-c", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();

        assert!(ran.status.success());
        let status = std::fs::read_to_string(folder.path().join("status")).unwrap();
        // 101 is a panic; doctor and fsck have something to say about an empty folder.
        let expected = if ["doctor", "ledger fsck"].contains(&command) { "1" } else { "0" };
        assert_eq!(status.trim(), expected, "{command}");
    }
}
