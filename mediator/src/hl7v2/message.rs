//! Views of a tokenized message: segment, field, repetition, component, subcomponent.
//!
//! Reading a value through [`Slice::text`] or [`Slice::whole`] marks its atoms with the rule in force, which is how
//! the account of a conversion is kept at no further cost; [`Slice::peek`] reads without marking.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
};

use super::{
    charset::Charset,
    delimiter::Delimiters,
    escape::unescape,
    tokenizer::{Atom, Segment},
};
use crate::{place::Place, warning::Warning};

/// One message as a table of atoms, with a mark for each atom.
#[derive(Debug)]
pub(crate) struct Message<'t> {
    text: &'t str,
    delimiters: Delimiters,
    charset: Charset,
    segments: Vec<Segment>,
    fields: Vec<u32>,
    atoms: Vec<Atom>,
    marks: Vec<Cell<u16>>,
    rule: Cell<u16>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'t> Message<'t> {
    pub(crate) fn new(
        text: &'t str,
        delimiters: Delimiters,
        charset: Charset,
        segments: Vec<Segment>,
        fields: Vec<u32>,
        atoms: Vec<Atom>,
        marks: Vec<Cell<u16>>,
    ) -> Self {
        let (rule, warnings) = (Cell::new(0), RefCell::default());
        Self { text, delimiters, charset, segments, fields, atoms, marks, rule, warnings }
    }

    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = SegmentView<'_>> + '_ {
        (0..self.segments.len()).map(|index| SegmentView { message: self, index })
    }

    pub(crate) fn segment(&self, index: usize) -> SegmentView<'_> {
        SegmentView { message: self, index }
    }

    /// The first segment of this name.
    pub(crate) fn first(&self, name: &str) -> Option<SegmentView<'_>> {
        self.segments().find(|s| s.name() == name)
    }

    /// Sets the rule that following reads are counted for; 0 is "none".
    pub(crate) fn set_rule(&self, rule: u16) -> u16 {
        self.rule.replace(rule)
    }

    pub(crate) fn warn(&self, code: &'static str, place: Place) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < WARNINGS_MAX {
            warnings.push(Warning { code, place });
        }
    }

    /// Hands over the table, its marks and its warnings for the account.
    pub(crate) fn into_parts(self) -> (Vec<Segment>, Vec<Atom>, Vec<Cell<u16>>, Vec<Warning>) {
        (self.segments, self.atoms, self.marks, self.warnings.into_inner())
    }

    fn place(&self, atom: &Atom) -> Place {
        place_of(&self.segments, atom)
    }
}

/// The place of an atom, given the segments it belongs to.
pub(crate) fn place_of(segments: &[Segment], atom: &Atom) -> Place {
    let segment = &segments[atom.segment as usize];
    Place {
        segment: segment.name,
        occurrence: segment.occurrence,
        field: atom.field,
        repetition: atom.repetition,
        component: atom.component,
        subcomponent: atom.subcomponent,
    }
}

/// One segment of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentView<'m> {
    message: &'m Message<'m>,
    index: usize,
}

impl<'m> SegmentView<'m> {
    pub(crate) fn index(self) -> usize {
        self.index
    }

    pub(crate) fn message(self) -> &'m Message<'m> {
        self.message
    }

    pub(crate) fn name_bytes(self) -> [u8; 3] {
        self.message.segments[self.index].name
    }

    pub(crate) fn name(self) -> &'m str {
        std::str::from_utf8(&self.message.segments[self.index].name).unwrap_or("???")
    }

    pub(crate) fn place(self) -> Place {
        let segment = &self.message.segments[self.index];
        Place { segment: segment.name, occurrence: segment.occurrence, ..Place::default() }
    }

    /// A field by the standard's number; empty when the segment is shorter.
    pub(crate) fn field(self, number: u16) -> Slice<'m> {
        let segment = &self.message.segments[self.index];
        let (lo, hi) = match u32::from(number) {
            n if n == 0 || n > segment.fields => (0, 0),
            n => {
                let at = (segment.first_field + n - 1) as usize;
                (self.message.fields[at], self.message.fields[at + 1])
            }
        };
        Slice { message: self.message, segment: self.index, field: number, lo, hi, level: 0 }
    }
}

/// Part of a field: the field itself (level 0), a repetition (1), a component (2) or a subcomponent (3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'m> {
    message: &'m Message<'m>,
    segment: usize,
    field: u16,
    lo: u32,
    hi: u32,
    level: u8,
}

impl<'m> Slice<'m> {
    fn atoms(self) -> &'m [Atom] {
        &self.message.atoms[self.lo as usize..self.hi as usize]
    }

    pub(crate) fn is_empty(self) -> bool {
        self.lo == self.hi
    }

    /// True for the explicit delete `""`.
    pub(crate) fn is_null(self) -> bool {
        self.hi - self.lo == 1 && self.raw(&self.atoms()[0]) == "\"\""
    }

    /// Neither empty nor `""`.
    pub(crate) fn is_valued(self) -> bool {
        !self.is_empty() && !self.is_null()
    }

    /// The segment it belongs to.
    pub(crate) fn segment(self) -> SegmentView<'m> {
        self.message.segment(self.segment)
    }

    pub(crate) fn place(self) -> Place {
        match self.atoms().first() {
            Some(atom) => {
                let mut place = self.message.place(atom);
                if self.level < 2 {
                    (place.component, place.subcomponent) = (0, 0);
                }
                place
            }
            None => Place { field: self.field, ..self.message.segment(self.segment).place() },
        }
    }

    /// The repetitions that hold anything, in order.
    pub(crate) fn repetitions(self) -> impl Iterator<Item = Slice<'m>> {
        let mut at = self.lo;
        std::iter::from_fn(move || {
            if at >= self.hi {
                return None;
            }
            let number = self.message.atoms[at as usize].repetition;
            let slice = Slice { lo: at, level: 0, ..self }.narrow(|a| a.repetition, number, 1);
            at = slice.hi;
            Some(slice)
        })
    }

    pub(crate) fn repetition(self, number: u16) -> Slice<'m> {
        self.narrow(|a| a.repetition, number, 1)
    }

    /// A component; on a field, of its first repetition.
    pub(crate) fn component(self, number: u16) -> Slice<'m> {
        let from = if self.level == 0 { self.repetition(1) } else { self };
        from.narrow(|a| a.component, number, 2)
    }

    /// A member of a composite datatype: a component, or a subcomponent when the composite sits in a component.
    pub(crate) fn part(self, number: u16) -> Slice<'m> {
        if self.level >= 2 { self.sub(number) } else { self.component(number) }
    }

    pub(crate) fn sub(self, number: u16) -> Slice<'m> {
        self.narrow(|a| a.subcomponent, number, 3)
    }

    fn narrow(self, key: fn(&Atom) -> u16, number: u16, level: u8) -> Slice<'m> {
        let atoms = self.atoms();
        let before = atoms.iter().take_while(|a| key(a) < number).count();
        let inside = atoms[before..].iter().take_while(|a| key(a) == number).count();
        let lo = self.lo + u32::try_from(before).unwrap_or_default();
        let hi = lo + u32::try_from(inside).unwrap_or_default();
        Slice { lo, hi, level, ..self }
    }

    /// The first atom when it is the first at every lower level (a primitive in the first position).
    fn first_atom(self) -> Option<(usize, &'m Atom)> {
        let atom = self.atoms().first()?;
        let first = (self.level > 0 || atom.repetition == 1)
            && (self.level > 1 || atom.component == 1)
            && (self.level > 2 || atom.subcomponent == 1);
        first.then_some((self.lo as usize, atom))
    }

    /// The value without its escapes; `None` when empty, blank or `""`. Counts as read by the rule in force.
    pub(crate) fn text(self) -> Option<Cow<'m, str>> {
        let (index, atom) = self.first_atom()?;
        self.mark(index, index + 1);
        self.clean(self.raw(atom))
    }

    /// As [`Slice::text`], without counting it as read.
    pub(crate) fn peek(self) -> Option<Cow<'m, str>> {
        let (_, atom) = self.first_atom()?;
        let (text, _) = unescape(self.raw(atom), &self.message.delimiters, self.message.charset);
        (!text.is_empty() && text != "\"\"").then_some(text)
    }

    /// Everything in the slice as one text, separators included, for senders that do not escape them.
    pub(crate) fn whole(self) -> Option<Cow<'m, str>> {
        let (first, last) = (self.atoms().first()?, self.atoms().last()?);
        self.mark(self.lo as usize, self.hi as usize);
        let (start, end) = (first.start as usize, last.end as usize);
        // Leading empty components belong to the text; walk back over separators of this level.
        let raw = self.message.text.get(start..end)?;
        self.clean(raw)
    }

    /// Counts every atom of the slice as read by the rule in force.
    pub(crate) fn mark_all(self) {
        self.mark(self.lo as usize, self.hi as usize);
    }

    /// Takes the marks back, with a warning: the value was seen but could not be used.
    pub(crate) fn refuse(self, code: &'static str) {
        for mark in &self.message.marks[self.lo as usize..self.hi as usize] {
            mark.set(0);
        }
        self.message.warn(code, self.place());
    }

    fn mark(self, from: usize, to: usize) {
        let rule = self.message.rule.get();
        for mark in &self.message.marks[from..to] {
            if mark.get() == 0 {
                mark.set(rule);
            }
        }
    }

    fn clean(self, raw: &'m str) -> Option<Cow<'m, str>> {
        let (text, odd) = unescape(raw, &self.message.delimiters, self.message.charset);
        if odd.escape_kept {
            self.message.warn("escape-kept-literally", self.place());
        }
        if odd.control_dropped {
            self.message.warn("control-character-dropped", self.place());
        }
        (!text.is_empty() && text != "\"\"").then_some(text)
    }

    fn raw(self, atom: &Atom) -> &'m str {
        self.message.text.get(atom.start as usize..atom.end as usize).unwrap_or_default()
    }
}

/// Warnings kept for one message; more are dropped.
const WARNINGS_MAX: usize = 500;
