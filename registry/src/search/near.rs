//! What is near a place: `near=latitude|longitude[|distance[|units]]`.
//!
//! Spec: FHIR R4 location.html, search parameter `near`: kilometres when no units are said, any length of UCUM else. Within
//! the distance means along the great circle, on a sphere of the earth's mean radius. A search reads the
//! cells that a box around the circle meets ([`crate::index::position`]) and tests each position there exactly.
//! Not here: rows (`index::position`).

use fhir::{CanonicalUnit, NumberRange, split_unescaped};

use super::clause::NearTest;
use super::parse_filter::Field;
use super::parse_value::unescape;
use super::sql::{Dialect, Sql};
use crate::error::ReadError;
use crate::index::position::{SIDES, cell_of, number};

impl Field<'_> {
    /// One place with its distance.
    pub(super) fn near(&self, text: &str) -> Result<NearTest, ReadError> {
        let parts: Vec<_> = split_unescaped(text, '|').into_iter().map(unescape).collect();
        if !(2..=4).contains(&parts.len()) {
            return Err(self.wrong("must be latitude|longitude, then |distance and |units"));
        }
        let degrees = |at: usize, most: f64| {
            let number = NumberRange::of_search_text(&parts[at]).map(|range| range.value);
            number.filter(|number| number.abs() <= most)
        };
        let latitude = degrees(0, 90.0);
        let latitude = latitude.ok_or_else(|| self.wrong("the latitude is -90 to 90 degrees"))?;
        let longitude = degrees(1, 180.0);
        let longitude =
            longitude.ok_or_else(|| self.wrong("the longitude is -180 to 180 degrees"))?;
        let part = |at: usize| parts.get(at).map(String::as_str).filter(|part| !part.is_empty());
        let distance_m = match part(2) {
            None => NEAR_DISTANCE_M,
            Some(distance) => {
                let metre = CanonicalUnit::parse("m");
                let unit = CanonicalUnit::parse(part(3).unwrap_or("km"));
                let is_length = |unit: &CanonicalUnit| {
                    metre.as_ref().is_some_and(|metre| metre.unit() == unit.unit())
                };
                let unit = unit.filter(is_length).ok_or_else(|| {
                    self.wrong("the units are no length of UCUM such as km, m or [mi_i]")
                })?;
                let number = NumberRange::of_search_text(distance).map(|range| range.value);
                let number = number.filter(|number| *number >= 0.0);
                let number = number.ok_or_else(|| self.wrong("the distance is no number"))?;
                unit.value(number)
            }
        };
        Ok(NearTest { latitude, longitude, distance_m })
    }
}

/// A box around a circle: latitudes, and one or two ranges of longitudes.
struct Around {
    south: f64,
    north: f64,
    longitudes: Vec<(f64, f64)>,
}

impl NearTest {
    /// The smallest box, a hair wider.
    fn around(&self) -> Around {
        let angle = self.distance_m / EARTH_RADIUS_M;
        let (south, north) = (
            self.latitude - angle.to_degrees() - HAIR_DEGREES,
            self.latitude + angle.to_degrees() + HAIR_DEGREES,
        );
        let whole = vec![(-180.0, 180.0)];
        let (low, high) = (south.max(-90.0), north.min(90.0));
        if south <= -90.0 || north >= 90.0 {
            return Around { south: low, north: high, longitudes: whole };
        }
        let half = (angle.sin() / self.latitude.to_radians().cos()).clamp(-1.0, 1.0).asin();
        let half = half.to_degrees() + HAIR_DEGREES;
        let (west, east) = (self.longitude - half, self.longitude + half);
        let longitudes = match (west < -180.0, east > 180.0) {
            _ if half >= 180.0 => whole,
            (true, _) => vec![(-180.0, east), (west + 360.0, 180.0)],
            (_, true) => vec![(west, 180.0), (-180.0, east - 360.0)],
            _ => vec![(west, east)],
        };
        Around { south: low, north: high, longitudes }
    }

    /// Cells of the finest grid of which the box meets but a few; `None` where it is too large.
    fn cells(&self) -> Option<Vec<i64>> {
        let around = self.around();
        (0..SIDES.len()).rev().find_map(|grid| {
            let mut cells = Vec::new();
            for (west, east) in &around.longitudes {
                let (bottom, left) = cell_of(grid, around.south, *west);
                let (top, right) = cell_of(grid, around.north, *east);
                if (top - bottom + 1) * (right - left + 1) > CELLS_MAX {
                    return None;
                }
                let columns = move |up| (left..=right).map(move |right| number(grid, up, right));
                cells.extend((bottom..=top).flat_map(columns));
            }
            Some(cells)
        })
    }

    /// Writes ` from … d where …` of the leading range.
    pub(super) fn lead(&self, sql: &mut Sql<'_>, param: u16) {
        // Else the rows by which positions are found.
        let cells = self.cells().unwrap_or_else(|| vec![0]);
        sql.push(" from search_quantity d where d.param = ").int(param);
        sql.push(" and ").one_of("d.code_hash", &cells).push(" and ");
        self.passes(sql, "d");
    }

    /// Writes the condition that the position of row `a` is within the distance.
    pub(super) fn passes(&self, sql: &mut Sql<'_>, a: &str) {
        let Around { south, north, longitudes } = self.around();
        sql.push(&format!("({a}.lo >= ")).real(south);
        sql.push(&format!(" and {a}.lo <= ")).real(north).push(" and (");
        for (at, (west, east)) in longitudes.iter().enumerate() {
            sql.push(if at == 0 { "" } else { " or " });
            sql.push(&format!("{a}.hi >= ")).real(*west);
            sql.push(&format!(" and {a}.hi <= ")).real(*east);
        }
        sql.push(") and ");
        match sql.dialect {
            Dialect::Sqlite => {
                sql.push(&format!("{HAVERSINE}({a}.lo, {a}.hi, ")).real(self.latitude);
                sql.push(", ").real(self.longitude).push(")");
            }
            Dialect::Postgres => {
                sql.push(&format!("(power(sin(radians({a}.lo - ")).real(self.latitude);
                sql.push(") / 2), 2) + ").real(self.latitude.to_radians().cos());
                sql.push(&format!(" * cos(radians({a}.lo)) * power(sin(radians({a}.hi - "));
                sql.real(self.longitude).push(") / 2), 2))");
            }
        }
        let half = self.distance_m / EARTH_RADIUS_M / 2.0;
        let most = if half < std::f64::consts::FRAC_PI_2 { half.sin().powi(2) } else { 2.0 };
        sql.push(" <= ").real(most).push(")");
    }
}

/// Gives an SQLite connection what [`NearTest::passes`] calls; PostgreSQL has it.
pub(crate) fn register(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    use rusqlite::functions::FunctionFlags;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(HAVERSINE, 4, flags, |context| {
        let degrees = |at| context.get::<f64>(at);
        Ok(haversine((degrees(0)?, degrees(1)?), (degrees(2)?, degrees(3)?)))
    })
}

/// The squared half chord between two places (latitude, longitude) on a sphere of radius one.
fn haversine(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let cosines = a.0.to_radians().cos() * b.0.to_radians().cos();
    half_sine(a.0 - b.0) + cosines * half_sine(a.1 - b.1)
}

/// What is near when the query says no distance: 50 km.
pub const NEAR_DISTANCE_M: f64 = 50_000.0;
/// Mean radius of the earth (IUGG 1980).
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// Against rounding at the edge of a box; the test of each position is exact.
const HAIR_DEGREES: f64 = 1e-9;
/// Cells that one range of longitudes may meet.
const CELLS_MAX: i64 = 64;
const HAVERSINE: &str = "sealway_haversine";

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances by the cross and dot product of the places' directions, another way than the haversine.
    fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
        let direction = |(latitude, longitude): (f64, f64)| {
            let (up, right) = (latitude.to_radians(), longitude.to_radians());
            [up.cos() * right.cos(), up.cos() * right.sin(), up.sin()]
        };
        let ([a, b, c], [x, y, z]) = (direction(a), direction(b));
        let cross = [b * z - c * y, c * x - a * z, a * y - b * x];
        let sine = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
        sine.atan2(a * x + b * y + c * z) * EARTH_RADIUS_M
    }

    #[test]
    fn the_distance_is_that_of_the_great_circle() {
        // Paris to New York is 5,837 km; a degree of the equator 111.195 km.
        let paris = (48.8567, 2.3508);
        let new_york = (40.7128, -74.006);
        assert!((distance_m(paris, new_york) / 1_000.0 - 5_837.0).abs() < 1.0);
        assert!((distance_m((0.0, 0.0), (0.0, 1.0)) - 111_195.08).abs() < 0.1);
        for (a, b) in
            [(paris, new_york), ((89.9, 10.0), (89.9, -170.0)), ((0.0, 179.9), (0.1, -179.9))]
        {
            let by_haversine = haversine(a, b).sqrt().asin() * 2.0 * EARTH_RADIUS_M;
            assert!((by_haversine - distance_m(a, b)).abs() < 0.01, "{a:?} {b:?}");
        }
    }

    #[test]
    fn every_place_within_the_distance_is_in_the_box_and_in_its_cells() {
        let places = [(0.0, 0.0), (52.5, 13.4), (89.99, 0.0), (-89.0, 179.99), (10.0, -179.999)];
        for (latitude, longitude) in places {
            for distance_m in [0.0, 10.0, 1_000.0, 50_000.0, 900_000.0, 9_000_000.0, 30_000_000.0] {
                let test = NearTest { latitude, longitude, distance_m };
                let (around, cells) = (test.around(), test.cells());
                for step in 0..360 {
                    let angle = f64::from(step).to_radians();
                    let share = f64::from(step % 10 + 1) / 10.0 * (1.0 - 1e-9);
                    let place = at_distance((latitude, longitude), distance_m * share, angle);
                    let is_in = |(west, east): &(f64, f64)| *west <= place.1 && place.1 <= *east;
                    assert!(
                        around.south <= place.0 && place.0 <= around.north,
                        "{test:?} {place:?}"
                    );
                    assert!(around.longitudes.iter().any(is_in), "{test:?} {place:?}");
                    let Some(cells) = &cells else { continue };
                    let own = crate::index::position::cells(place.0, place.1);
                    assert!(own.iter().any(|cell| cells.contains(cell)), "{test:?} {place:?}");
                }
                assert!(cells.is_none_or(|cells| cells.len() <= 128));
            }
        }
    }

    /// The place so far away in a direction.
    fn at_distance((latitude, longitude): (f64, f64), metres: f64, way: f64) -> (f64, f64) {
        let (up, angle) = (latitude.to_radians(), metres / EARTH_RADIUS_M);
        let sine = up.sin() * angle.cos() + up.cos() * angle.sin() * way.cos();
        let there = sine.clamp(-1.0, 1.0).asin();
        let turn = (way.sin() * angle.sin() * up.cos()).atan2(angle.cos() - up.sin() * there.sin());
        let right = (longitude + turn.to_degrees() + 540.0).rem_euclid(360.0) - 180.0;
        (there.to_degrees(), right)
    }
}
