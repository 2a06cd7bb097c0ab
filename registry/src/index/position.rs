//! Positions on the globe as rows of `search_quantity`: `lo` is the latitude, `hi` the longitude.
//!
//! Spec: FHIR R4 location.html (`near`), WGS84 degrees. A position has one row with code 0, found by `rid`, and one for each
//! grid of [`SIDES`] under the number of its cell, so that what is near a place is a few cells of one grid,
//! however many positions there are. Not here: distances and the cells of a search (`search::near`).

use super::rows::QuantityRow;

/// Sides of the cells in degrees, coarsest grid first; a power of two each, so that edges are exact.
pub(crate) const SIDES: [f64; 3] = [8.0, 0.5, 0.031_25];

/// Rows of a position; none where the numbers are no place on the globe.
pub(super) fn rows(param: u16, latitude: f64, longitude: f64) -> Vec<QuantityRow> {
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return Vec::new();
    }
    let row = |code_hash| QuantityRow {
        param,
        code_hash,
        lo: latitude,
        hi: longitude,
        unit_hash: 0,
        sys_hash: 0,
    };
    std::iter::once(0).chain(cells(latitude, longitude)).map(row).collect()
}

/// The cell of each grid that holds a place.
pub(crate) fn cells(latitude: f64, longitude: f64) -> [i64; SIDES.len()] {
    std::array::from_fn(|grid| {
        let (up, right) = cell_of(grid, latitude, longitude);
        number(grid, up, right)
    })
}

/// Row and column of the cell that holds a place.
pub(crate) fn cell_of(grid: usize, latitude: f64, longitude: f64) -> (i64, i64) {
    let side = SIDES[grid];
    let place = |degrees: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "at most 360 / 2^-5 cells")]
        let place = (degrees / side).floor() as i64;
        place
    };
    (place(latitude + 90.0), place(longitude + 180.0))
}

/// Number of a cell, never 0.
pub(crate) fn number(grid: usize, up: i64, right: i64) -> i64 {
    let grid = i64::try_from(grid).unwrap_or(0) + 1;
    (grid << 40) | (up << 20) | right
}
