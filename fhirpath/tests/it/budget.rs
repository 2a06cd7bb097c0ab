//! Hostile expressions end by an error, soon and without a stack overflow.

use std::time::{Duration, Instant};

use fhir::Tree;
use fhirpath::{CompileError, Context, EvaluationError, Expression, NoHost, resource};

fn run(text: &str) -> Result<usize, EvaluationError> {
    let names = vec![r#"{"given":["a","b","c","d"]}"#; 200].join(",");
    let document = format!(r#"{{"resourceType":"Patient","name":[{names}]}}"#);
    let tree = Tree::parse(document.into_bytes()).unwrap();
    let on = resource(tree.root());
    let expression = Expression::compile(text).unwrap();
    expression.evaluate(on, &Context::new(on, on, &NoHost)).map(|found| found.len())
}

#[test]
fn work_without_end_is_cut_off() {
    for text in [
        "name.given.select(%resource.name.given.select(%resource.name.given.select($this)))",
        "repeat(name.select(%resource))",
        "name.given.aggregate($total.combine($total).combine($this), $this)",
        "name.given.aggregate($total & $total, 'aaaaaaaaaaaaaaaa')",
        "(1).repeat($this + 1)",
        "name.given.combine(name.given).combine(descendants()).combine(descendants()).select(%resource.descendants().where($this = %context))",
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.replace('', 'bbbbbbbb').replace('', 'bbbbbbbbbb').replace('', 'bbbbbbbbbbbbb').replace('','bbbbbbbbbbbbbbbbbbbbbbbbbbbb')",
    ] {
        let start = Instant::now();
        let found = run(text);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{text} took {took:?}");
        if !text.starts_with("repeat") {
            assert_eq!(found, Err(EvaluationError::Budget), "{text}");
        }
    }
}

#[test]
fn deep_or_long_expressions_are_refused_before_they_run() {
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let minus = format!("{}1", "-".repeat(10_000));
    let chain = format!("name{}", ".name".repeat(10_000));
    let sums = format!("1{}", " + 1".repeat(10_000));
    let long = " ".repeat(70_000);
    for text in [deep, minus, chain, sums, long] {
        assert_eq!(Expression::compile(&text).unwrap_err(), CompileError::TooLarge);
    }
}

#[test]
fn a_regular_expression_that_would_explode_is_refused() {
    assert_eq!(run("'a'.matches('(a{1000}){1000}')"), Err(EvaluationError::Regex));
    assert_eq!(run("'a'.matches('(')"), Err(EvaluationError::Regex));
    assert_eq!(run("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')"), Ok(1));
}
