//! Criteria of conditional interactions, read with the search parameters in force and with what terminology answers.
//!
//! Read before each attempt to commit: the commit is stale when the parameters change (`Match::SearchParams`), and then
//! they are read again. Value sets and code systems are those that are stored before the submission, as for a search.
//! Not here: what they match (`registry`), whether that holds on the bytes (`condition`).

use std::sync::Arc;

use fhir::ResourceType;
use policy::{Permit, Principal, TypeSet};
use registry::search::{
    Criteria, ParseOptions, SearchQuery, SearchTarget, code_questions, is_of_results, pairs, parse,
    parse_placed, with_params,
};

use crate::app::App;
use crate::clock;
use crate::codes::{self, Answers};
use crate::error::{Answered, Fault, FaultKind};
use crate::search_params::Loaded;

/// What criteria are read with.
pub(crate) struct Reading {
    /// The parameters in force.
    pub(crate) params: Arc<Loaded>,
    /// What terminology answers to their questions.
    pub(crate) codes: Answers,
}

impl Reading {
    /// Looks up what some criteria need: the newest parameters where one names a parameter that is not R4's own, and
    /// the codes of value sets and hierarchies.
    ///
    /// # Errors
    /// 400 for what is no query; 503 when the registry is away.
    pub(crate) async fn of(
        app: &App,
        principal: &Principal,
        criteria: &[(ResourceType, &str)],
        base: &str,
    ) -> Answered<Self> {
        let (mut split, mut is_enough) = (Vec::with_capacity(criteria.len()), true);
        for (of, text) in criteria {
            let pairs = pairs(text)?;
            is_enough = is_enough && app.search_params.is_enough(Some(*of), &pairs);
            split.push((SearchTarget::Type(*of), pairs));
        }
        let params = match is_enough {
            true => app.search_params.current(),
            false => app.search_params.refresh(app).await?,
        };
        let options = options(base);
        let mut questions = Vec::new();
        for (target, pairs) in &split {
            let asked = with_params(&params.set, || Ok(code_questions(target, pairs, &options)));
            // What has no whole index is refused when it is read.
            for question in asked.unwrap_or_default() {
                if !questions.contains(&question) {
                    questions.push(question);
                }
            }
        }
        let codes = codes::answers(app, principal, questions).await?;
        Ok(Self { params, codes })
    }

    /// Reads one that is answered with a permit.
    ///
    /// # Errors
    /// 400 naming the parameter; 403 where it looks into types beyond the permit; 503 while its index is made.
    pub(crate) fn read(
        &self,
        of: ResourceType,
        text: &str,
        base: &str,
        permit: &Permit,
    ) -> Answered<Criteria> {
        let read = self.criteria(of, text, base)?;
        check_reach(&read.looks_into(), permit)?;
        Ok(read)
    }

    fn criteria(&self, of: ResourceType, text: &str, base: &str) -> Answered<Criteria> {
        let options = self.options(of, text, base)?;
        let read = with_params(&self.params.set, || Criteria::parse(of, text, &options));
        read.map_err(|error| {
            let fault = Fault::from(error);
            match self.misread(of, text, &options) {
                Some(name) => fault.in_parameter(&name),
                None => fault,
            }
        })
    }

    /// Name of the parameter that is wrong.
    fn misread(&self, of: ResourceType, text: &str, options: &ParseOptions<'_>) -> Option<String> {
        let (target, pairs) = (SearchTarget::Type(of), pairs(text).ok()?);
        if let Some((name, _)) = pairs.iter().find(|(name, _)| is_of_results(name)) {
            return Some(name.clone());
        }
        let read = with_params(&self.params.set, || Ok(parse_placed(&target, pairs, options)));
        read.ok()?.err()?.parameter
    }

    /// Reads one as a search for all that it matches.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub(crate) fn search(
        &self,
        of: ResourceType,
        text: &str,
        base: &str,
        permit: &Permit,
    ) -> Answered<SearchQuery> {
        self.read(of, text, base, permit)?;
        let options = self.options(of, text, base)?;
        Ok(with_params(&self.params.set, || parse(of, text, &options))?)
    }

    fn options<'r>(
        &'r self,
        of: ResourceType,
        text: &str,
        base: &'r str,
    ) -> Answered<ParseOptions<'r>> {
        self.params.check_limits(Some(of), &pairs(text)?)?;
        Ok(ParseOptions { codes: Some(&self.codes), ..options(base) })
    }
}

/// Refuses criteria that look into types beyond the permit: they could find too little without saying so, and a search
/// says so in its answer, but a conditional create would make what is there already.
fn check_reach(asked: &TypeSet, permit: &Permit) -> Answered<()> {
    let beyond = asked.difference(permit.types()).difference(&permit.closed_types());
    if beyond.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = beyond.iter().map(ResourceType::name).collect();
    // Of several, the one that is meant may be within reach.
    let advice = match beyond == *asked {
        true => "",
        false => "; name the type that a reference leads to, as in subject:Patient.name",
    };
    let names = names.join(", ");
    let text =
        format!("the criteria look into types that the token does not reach: {names}{advice}");
    Err(Fault::new(FaultKind::Forbidden, text))
}

fn options(base: &str) -> ParseOptions<'_> {
    ParseOptions { base_url: base, lenient: false, now_us: clock::now_us(), codes: None }
}
