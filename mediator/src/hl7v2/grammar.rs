//! Message structures as data and a tolerant matcher: segments into groups.
//!
//! Structure text: `NAME: MSH PID ( GROUP: ORC? OBR ( INNER: OBX NTE ) )`. The first member of a group opens it, and so
//! does the next one when the first is marked with `?`. The matcher looks for a segment's place from the innermost
//! open group outwards; a segment that no open group knows (Z segments, strangers) joins the innermost group without
//! moving anything, so one odd segment never makes later ones unreachable.

use super::message::Message;

/// A compiled structure; group 0 is the message itself.
#[derive(Clone, Debug)]
pub(crate) struct Structure {
    groups: Vec<GroupRule>,
}

#[derive(Clone, Debug)]
struct GroupRule {
    name: Box<str>,
    parent: usize,
    members: Vec<Member>,
    /// Segments that open the group.
    openers: Vec<[u8; 3]>,
}

#[derive(Clone, Debug)]
enum Member {
    Segment([u8; 3]),
    Group(usize),
}

/// A group found in a message.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    rule: usize,
    pub(crate) name: Box<str>,
    /// Indexes of its own segments.
    pub(crate) segments: Vec<usize>,
    pub(crate) children: Vec<Group>,
}

impl Group {
    /// Groups of this name at any depth below, in message order.
    pub(crate) fn find<'g>(&'g self, name: &str, out: &mut Vec<&'g Group>) {
        for child in &self.children {
            if &*child.name == name {
                out.push(child);
            } else {
                child.find(name, out);
            }
        }
    }

    /// The first child group of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Group> {
        self.children.iter().find(|c| &*c.name == name)
    }
}

impl Structure {
    /// Parses all structures of a file; an error carries its line.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<(String, Structure)>, (u64, String)> {
        let mut all = Vec::new();
        for (number, line) in (1u64..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, body) =
                line.split_once(':').ok_or((number, "NAME: is missing".to_owned()))?;
            let structure = Self::parse(body).map_err(|text| (number, text))?;
            all.push((name.trim().to_owned(), structure));
        }
        Ok(all)
    }

    fn parse(body: &str) -> Result<Self, String> {
        let root = GroupRule { name: "".into(), parent: 0, members: vec![], openers: vec![] };
        let mut groups = vec![root];
        let mut open = 0;
        // True while the next segment of the open group also opens it.
        let mut opening = vec![true];
        let mut tokens = body.split_whitespace();
        while let Some(token) = tokens.next() {
            match token {
                "(" => {
                    let name = tokens.next().and_then(|t| t.strip_suffix(':'));
                    let name = name.ok_or("a group starts with `( NAME:`")?;
                    let index = groups.len();
                    groups[open].members.push(Member::Group(index));
                    groups.push(GroupRule {
                        name: name.into(),
                        parent: open,
                        members: vec![],
                        openers: vec![],
                    });
                    open = index;
                    opening.push(true);
                }
                ")" => {
                    if open == 0 {
                        return Err("unbalanced `)`".to_owned());
                    }
                    let openers = groups[open].openers.clone();
                    open = groups[open].parent;
                    opening.pop();
                    // A group that starts with a group opens with it.
                    if groups[open].openers.is_empty() && open != 0 {
                        groups[open].openers = openers;
                        // An optional first group: the next group may open its parent as well.
                        if let Some(last) = opening.last_mut() {
                            *last = true;
                        }
                    } else if opening.last() == Some(&true) && open != 0 {
                        groups[open].openers.extend(openers);
                        if let Some(last) = opening.last_mut() {
                            *last = false;
                        }
                    }
                }
                _ => {
                    let (name, optional) = match token.strip_suffix('?') {
                        Some(name) => (name, true),
                        None => (token, false),
                    };
                    let name: [u8; 3] = name
                        .as_bytes()
                        .try_into()
                        .map_err(|_| format!("`{token}` is no segment name"))?;
                    groups[open].members.push(Member::Segment(name));
                    if opening.last() == Some(&true) {
                        groups[open].openers.push(name);
                        if let Some(last) = opening.last_mut() {
                            *last = optional;
                        }
                    }
                }
            }
        }
        if open == 0 { Ok(Self { groups }) } else { Err("unbalanced `(`".to_owned()) }
    }

    /// Groups the segments of a message.
    pub(crate) fn group(&self, message: &Message<'_>) -> Group {
        let mut stack = vec![self.start(0)];
        for (index, segment) in message.segments().enumerate() {
            let name = segment.name_bytes();
            // A stranger stays in the innermost group.
            if let Some((depth, way)) = self.place(&stack, message, name) {
                while stack.len() > depth + 1 {
                    close(&mut stack);
                }
                for rule in way {
                    stack.push(self.start(rule));
                }
            }
            if let Some(innermost) = stack.last_mut() {
                innermost.segments.push(index);
            }
        }
        while stack.len() > 1 {
            close(&mut stack);
        }
        stack.pop().unwrap_or_else(|| self.start(0))
    }

    fn start(&self, rule: usize) -> Group {
        let name = self.groups[rule].name.clone();
        Group { rule, name, segments: Vec::new(), children: Vec::new() }
    }

    /// Depth of the open group that takes the segment, and the groups to open below it.
    fn place(
        &self,
        stack: &[Group],
        message: &Message<'_>,
        name: [u8; 3],
    ) -> Option<(usize, Vec<usize>)> {
        for depth in (0..stack.len()).rev() {
            let group = &stack[depth];
            let rule = &self.groups[group.rule];
            let is_member =
                rule.members.iter().any(|m| matches!(m, Member::Segment(n) if *n == name));
            let open_child = stack.get(depth + 1);
            if is_member && !(depth > 0 && self.reopens(group, open_child, message, name)) {
                return Some((depth, Vec::new()));
            }
            if let Some((member, way)) = self.way_down(group.rule, name)
                && !(depth > 0 && self.child_reopens(group, open_child, member))
            {
                return Some((depth, way));
            }
        }
        None
    }

    /// True when an opener comes that the group already has, or that stands before what it has.
    fn reopens(
        &self,
        group: &Group,
        open_child: Option<&Group>,
        message: &Message<'_>,
        name: [u8; 3],
    ) -> bool {
        let openers = &self.groups[group.rule].openers;
        let Some(position) = openers.iter().position(|o| *o == name) else { return false };
        let has = |wanted: [u8; 3]| {
            group.segments.iter().any(|i| message.segment(*i).name_bytes() == wanted)
        };
        openers[position..].iter().any(|o| has(*o))
            || !group.children.is_empty()
            || open_child.is_some()
    }

    /// True when a child group comes that stands before one that is there, or that a group has only once (its first).
    fn child_reopens(&self, group: &Group, open_child: Option<&Group>, member: usize) -> bool {
        let members = &self.groups[group.rule].members;
        let position = |child: &Group| {
            members.iter().position(|m| matches!(m, Member::Group(rule) if *rule == child.rule))
        };
        // Children come in member order, so the last one is the furthest.
        let latest = open_child.or(group.children.last()).and_then(position);
        latest.is_some_and(|latest| latest > member || (latest == member && member == 0))
    }

    /// The member position and the groups to open, outermost first.
    fn way_down(&self, rule: usize, name: [u8; 3]) -> Option<(usize, Vec<usize>)> {
        for (position, member) in self.groups[rule].members.iter().enumerate() {
            let Member::Group(child) = member else { continue };
            if self.groups[*child].openers.contains(&name) {
                let direct = self.groups[*child]
                    .members
                    .iter()
                    .any(|m| matches!(m, Member::Segment(n) if *n == name));
                let mut way = vec![*child];
                if !direct {
                    way.extend(self.way_down(*child, name)?.1);
                }
                return Some((position, way));
            }
        }
        None
    }
}

fn close(stack: &mut Vec<Group>) {
    if let Some(done) = stack.pop()
        && let Some(parent) = stack.last_mut()
    {
        parent.children.push(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7v2::{charset::Charset, delimiter::Delimiters, tokenizer::tokenize};

    fn shape(names: &str) -> String {
        let base = include_str!("../../rules/base/structures.txt");
        let all = Structure::parse_all(base).expect("the base structures");
        let (_, oru) = all.iter().find(|(n, _)| n == "ORU_R01").expect("there").clone();
        let text = names.split(' ').map(|n| format!("{n}|")).collect::<Vec<_>>().join("\r");
        let message = tokenize(&text, Delimiters::STANDARD, Charset::UTF_8).expect("small");
        draw(&oru.group(&message), &message)
    }

    fn draw(group: &Group, message: &Message<'_>) -> String {
        let mut parts: Vec<(usize, String)> =
            group.segments.iter().map(|i| (*i, message.segment(*i).name().to_owned())).collect();
        for child in &group.children {
            let mut first = child;
            while first.segments.is_empty() {
                first = &first.children[0];
            }
            parts.push((first.segments[0], format!("({})", draw(child, message))));
        }
        parts.sort();
        parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_open_by_their_anchors() {
        assert_eq!(
            shape("MSH PID PV1 ORC OBR OBX NTE OBX OBR OBX"),
            "MSH ((PID (PV1)) (ORC OBR (OBX NTE) (OBX)) (OBR (OBX)))"
        );
        assert_eq!(
            shape("MSH PID OBR OBX PID OBR OBX SPM OBX"),
            "MSH ((PID) (OBR (OBX))) ((PID) (OBR (OBX) (SPM (OBX))))"
        );
        assert_eq!(shape("MSH OBR OBX ORC OBR"), "MSH ((OBR (OBX)) (ORC OBR))");
    }

    #[test]
    fn a_stranger_does_not_move_the_cursor() {
        assert_eq!(
            shape("MSH PID ZPI NTE OBR ZZZ OBX ZOB NTE OBX"),
            "MSH ((PID ZPI NTE) (OBR ZZZ (OBX ZOB NTE) (OBX)))"
        );
    }
}
