//! Codes and amounts, with factors from UCUM's table and by hand.

use super::*;

fn canonical(value: f64, code: &str) -> Option<(f64, String)> {
    CanonicalUnit::parse(code).map(|unit| (unit.value(value), unit.unit))
}

#[test]
fn every_unit_of_the_table_has_a_meaning_unless_it_is_special() {
    let table = table();
    for (code, unit) in &table.units {
        let special = matches!(unit.definition, Definition::Special);
        assert_eq!(CanonicalUnit::parse(code).is_some(), !special, "{code}");
    }
}

#[test]
fn the_same_amount_is_the_same_number() {
    // Factors: UCUM's table and SI prefixes, by hand.
    for (one, of_one, other, of_other) in [
        (5.4, "mg", 0.0054, "g"),
        (5.35, "mg", 0.00535, "g"),
        (1.0, "mg/dL", 0.01, "g/L"),
        (140.0, "mm[Hg]", 18.665_08, "kPa"),
        (1.0, "[lb_av]", 0.453_592_37, "kg"),
        (1.0, "[in_i]", 2.54, "cm"),
        (6.0, "[ft_us]", 1.828_803_657_607_315, "m"),
        (37.0, "Cel", 310.15, "K"),
        (98.6, "[degF]", 37.0, "Cel"),
        (212.0, "[degF]", 100.0, "Cel"),
        (80.0, "[degRe]", 100.0, "Cel"),
        (1.0, "mmol/L", 1e-3, "mol/L"),
        (5.0, "10*3/uL", 5.0, "10*9/L"),
        (5.0, "10^3/uL", 5.0, "10*9/L"),
        (72.0, "/min", 72.0, "{beats}/min"),
        (50.0, "%", 0.5, "1"),
        (1.0, "kcal", 4184.0, "J"),
        (1.0, "h", 60.0, "min"),
        (1.0, "k[iU]/L", 1000.0, "[IU]/L"),
        (25.0, "kg/m2", 2.5, "g/cm2"),
        (1.0, "mL/min/{1.73_m2}", 1e-3, "L/min"),
        (1.0, "(mg/dL)/h", 10.0, "mg/L/h"),
        (2.0, "dam", 20.0, "m"),
        (3.0, "m[H2O]", 300.0, "cm[H2O]"),
    ] {
        assert_eq!(canonical(one, of_one), canonical(other, of_other), "{one} {of_one}");
        assert!(canonical(one, of_one).is_some(), "{of_one}");
    }
}

#[test]
fn what_measures_something_else_has_another_unit() {
    for (one, other) in [
        ("mg", "mL"),
        ("[iU]", "1"),
        ("[iU]", "[arb'U]"),
        ("mg/dL", "mmol/L"),
        ("Cel", "m"),
        ("rad", "1"),
    ] {
        let unit = |code| CanonicalUnit::parse(code).unwrap().unit;
        assert_ne!(unit(one), unit(other), "{one} {other}");
    }
}

#[test]
fn what_is_no_unit_or_has_no_scale_is_not_read() {
    for code in [
        "",
        "nonsense",
        "mg/",
        "mg//dL",
        "(mg",
        "mg)",
        "5 mg",
        "mg{",
        "}",
        "[pH]",
        "dB",
        "Np",
        "Cel/h",
        "B[SPL]",
        "µg",
        "k%",
        "0",
        "mg 2",
        ".",
        "m-",
        "10*999999999999",
    ] {
        assert_eq!(canonical(1.0, code), None, "{code:?}");
    }
    assert_eq!(CanonicalUnit::parse(&"(".repeat(100)), None);
    assert_eq!(CanonicalUnit::parse(&"m".repeat(200)), None);
}

#[test]
fn a_range_is_converted_with_its_open_ends() {
    let unit = CanonicalUnit::parse("kg").unwrap();
    let range = NumberRange { lo: f64::NEG_INFINITY, hi: 2.5, value: 2.0 };
    let expected = NumberRange { lo: f64::NEG_INFINITY, hi: 2500.0, value: 2000.0 };
    assert_eq!(unit.range(&range), expected);
}

#[test]
fn an_end_that_leaves_its_number_out_goes_on_doing_so() {
    // More than 400 g is more than 0.4 kg.
    let (gram, kilogram) =
        (CanonicalUnit::parse("g").unwrap(), CanonicalUnit::parse("kg").unwrap());
    let above = NumberRange { lo: 400.0_f64.next_up(), hi: f64::INFINITY, value: 400.0 };
    let below = NumberRange { lo: f64::NEG_INFINITY, hi: 0.4_f64.next_down(), value: 0.4 };

    assert!(gram.range(&above).lo > kilogram.value(0.4));
    assert!(kilogram.range(&below).hi < gram.value(400.0));
    assert!((gram.range(&above).value - kilogram.value(0.4)).abs() < 1e-9);
}
