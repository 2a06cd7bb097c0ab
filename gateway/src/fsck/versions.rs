//! Versions and current rows, resource by resource.
//!
//! A content tells its type, id, version and time, and the keys of its envelope tell in whose compartments it was
//! sealed; so a row that says otherwise is found. A tombstone keeps the compartments of the version before.
//! What no content tells: whether a first version came by POST or PUT, and whether an empty resource is a tombstone.
//! Not here: how envelopes open (`content`), the reading of current rows (`resources`), index rows (`index`).

use fhir::{Instant, Node, ResourceId, ResourceKey, Tree, VersionId, VersionKey};
use ledger::Kind;
use registry::check::{Place, ResourceRow, VersionRow};
use registry::erasure::is_erased;

use super::content::Sealed;
use super::index::{Index, Indexed};
use super::log::Waiting;
use super::report::About;
use super::resources::{Resources, key_of, resource};
use super::{CONTENTS_A_PAGE, Check};
use crate::app::OpenError;

/// What is known of a resource after some of its versions.
#[derive(Default)]
struct Trail {
    rid: i64,
    /// Its current row and its key, where they are there and can be read.
    current: Option<(ResourceRow, ResourceKey)>,
    newest: Option<VersionRow>,
    /// Content of the newest version; `None` when it did not open.
    content: Option<Tree>,
    /// Place in the default order; `None` when a content that decides it did not open.
    nsort: Option<i64>,
    /// `rid`s of its patients; `None` when they are not known.
    members: Option<Vec<i64>>,
}

impl Check<'_> {
    /// Walks all resources, and tells `index` what each should have there.
    pub(super) async fn versions(
        &mut self,
        waiting: &mut Waiting,
        index: &mut Index,
    ) -> Result<(), OpenError> {
        let mut resources = Resources::default();
        let mut after = (i64::MIN, i64::MIN);
        let mut done = 0;
        let mut trail: Option<Trail> = None;
        loop {
            let read = self.checks.versions(after, CONTENTS_A_PAGE).await;
            if read.is_err() {
                // What stands beyond cannot be read, so nothing is said of what should be there.
                self.rows("resource_version", read)?;
                index.give_up();
                return Ok(());
            }
            let page = self.rows("resource_version", read)?;
            let Some(last) = page.last() else { break };
            after = (last.rid, last.version);
            done += page.len() as u64;
            for row in page {
                if trail.as_ref().is_none_or(|trail| trail.rid != row.rid) {
                    if let Some(trail) = trail.take() {
                        self.finish(trail, index);
                    }
                    trail = Some(self.begin(row.rid, &mut resources).await?);
                }
                if let Some(trail) = &mut trail {
                    self.recorded_place(&row, trail, waiting);
                    self.version(row, trail, index, &mut resources).await?;
                }
            }
            self.words(index.take_words()).await?;
            self.progress.tick(done, "versions");
        }
        if let Some(trail) = trail.take() {
            self.finish(trail, index);
        }
        self.words(index.take_words()).await?;
        while let Some(row) = self.next_resource(&mut resources).await? {
            self.unwritten(&row);
        }
        Ok(())
    }

    /// The trail of a resource; rows of resources before it have no versions.
    async fn begin(&mut self, rid: i64, resources: &mut Resources) -> Result<Trail, OpenError> {
        let mut trail = Trail { rid, members: Some(Vec::new()), ..Trail::default() };
        while let Some(row) = self.next_resource(resources).await? {
            if row.rid < rid {
                self.unwritten(&row);
                continue;
            }
            if row.rid > rid {
                resources.page.push_front(row);
                break;
            }
            match key_of(&row) {
                Some(key) => trail.current = Some((row, key)),
                None => {
                    let what = format!("has type {} and id {:?}", row.type_code, row.id);
                    self.report.add(About::Current, resource(rid), what);
                }
            }
            return Ok(trail);
        }
        if !resources.is_lost {
            self.report.add(About::Current, resource(rid), "has versions, but no current row");
        }
        Ok(trail)
    }

    /// The version stands in the log, or waits for it.
    fn recorded_place(&mut self, row: &VersionRow, trail: &Trail, waiting: &mut Waiting) {
        if self.report.is_muted {
            return;
        }
        let waits = waiting.versions.get(&row.change.cast_unsigned()) == Some(&row.entry);
        match row.log_index {
            None if waits => {
                waiting.versions.remove(&row.change.cast_unsigned());
            }
            None => {
                let what = "stands neither in the log nor in the outbox";
                self.report.add(About::Version, trail.name(row.version), what);
            }
            Some(index) if index >= self.findings.log_size && self.findings.log_size > 0 => {
                let what = "has its place in the log beyond its end";
                self.report.add(About::Version, trail.name(row.version), what);
            }
            Some(_) => {}
        }
    }

    async fn version(
        &mut self,
        row: VersionRow,
        trail: &mut Trail,
        index: &mut Index,
        resources: &mut Resources,
    ) -> Result<(), OpenError> {
        let name = trail.name(row.version);
        if !self.order(&row, trail, &name) {
            (trail.nsort, trail.members) = (None, None);
        }
        let key = trail.current.as_ref().map(|(_, key)| key.clone());
        let version = u64::try_from(row.version).ok().and_then(VersionId::new);
        trail.content = None;
        let (Some(key), Some(version)) = (key, version) else {
            (trail.nsort, trail.members) = (None, None);
            trail.newest = Some(row);
            return Ok(());
        };
        if self.report.is_muted && !index.wants(row.rid) {
            // Looked at before, and not looked for now.
            trail.newest = Some(row);
            return Ok(());
        }
        if is_erased(&row.payload) {
            self.erased(row, trail, index, &name);
            return Ok(());
        }
        let key = VersionKey { key, version };
        let sealed = Sealed {
            kind: Kind::ResourceVersion,
            key: &key,
            payload: &row.payload,
            salt_id: &row.salt_id,
            entry: &row.entry,
        };
        let opened = self.content(&name, sealed).await?;
        let patients = opened.as_ref().and_then(|content| content.patients.clone());
        let erased = opened.as_ref().map_or_else(Vec::new, |content| content.erased.clone());
        let tree = opened.and_then(|content| Tree::parse(content.bytes.to_vec()).ok());
        match &tree {
            Some(tree) => self.says(tree.root(), &key, &row, &name),
            None => trail.nsort = None,
        }
        let is_deleted = row.action == DELETE;
        if let Some(tree) = tree.as_ref().filter(|_| !is_deleted)
            && let Some(time) = fhir::sort_time(tree.root(), key.key.resource_type)
        {
            trail.nsort = Some(time.saturating_neg());
        } else if tree.is_some() && row.version == 1 {
            trail.nsort = Some(row.updated_us.saturating_neg());
        }
        self.compartments(patients, erased, is_deleted, trail, resources).await?;
        match &trail.members {
            Some(members) => {
                if row.patient != column(members) {
                    let what = "its row names another patient than it was sealed for";
                    self.report.add(About::Version, &name, what);
                }
                index.join(row.rid, row.change, members);
            }
            None => index.skip(row.rid),
        }
        trail.content = tree;
        trail.newest = Some(row);
        Ok(())
    }

    /// A version whose content was erased, which is right if an erasure tells of it.
    fn erased(&mut self, row: VersionRow, trail: &mut Trail, index: &mut Index, name: &str) {
        match self.erasures.why_not(&row.payload, &row.entry) {
            Some(what) => self.report.add(About::Content, name, what),
            None if !self.report.is_muted => self.findings.versions_erased += 1,
            None => {}
        }
        trail.nsort = None;
        trail.members = (row.patient > 0).then(|| vec![row.patient]);
        if trail.members.is_none() {
            index.skip(row.rid);
        }
        trail.newest = Some(row);
    }

    /// Versions count from 1, changes and times ascend. False when versions before this one are gone.
    fn order(&mut self, row: &VersionRow, trail: &Trail, name: &str) -> bool {
        let before = trail.newest.as_ref();
        let expected = before.map_or(1, |before| before.version.saturating_add(1));
        match i128::from(row.version) - i128::from(expected) {
            0 => {}
            1 => self.report.add(About::Version, trail.name(expected), "is gone"),
            2.. => {
                let what = format!("is gone, and all before version {}", row.version);
                self.report.add(About::Version, trail.name(expected), what);
            }
            _ => self.report.add(About::Version, name, "cannot have this number"),
        }
        if before.is_some_and(|before| {
            before.change >= row.change || before.updated_us >= row.updated_us
        }) {
            self.report.add(About::Version, name, "is not later than the version before it");
        }
        let fits = match row.action {
            CREATE => row.version == 1,
            UPDATE | DELETE => true,
            _ => false,
        };
        if !fits {
            self.report.add(About::Version, name, format!("cannot have action {}", row.action));
        }
        if trail.current.as_ref().is_some_and(|(current, _)| current.type_code != row.type_code) {
            self.report.add(About::Version, name, "its row names another type than its resource");
        }
        row.version == expected
    }

    /// What a content says of itself is what its row says.
    fn says(&mut self, node: Node<'_>, key: &VersionKey, row: &VersionRow, name: &str) {
        let text = |node: Option<Node<'_>>| {
            node.and_then(|node| node.as_str().map(|text| text.into_owned()))
        };
        let meta = node.get("meta");
        let of_meta = |name: &str| text(meta.and_then(|meta| meta.get(name)));
        let wanted = [
            ("type", text(node.get("resourceType")), key.key.resource_type.name().to_owned()),
            ("id", text(node.get("id")), key.key.id.as_str().to_owned()),
            ("version", of_meta("versionId"), row.version.to_string()),
            ("time", of_meta("lastUpdated"), Instant::from_micros(row.updated_us).to_string()),
        ];
        for (what, said, wanted) in wanted {
            if said.as_deref() != Some(wanted.as_str()) {
                let what = format!("its content has another {what} than its row");
                self.report.add(About::Version, name, what);
            }
        }
        let is_bare = node
            .children()
            .all(|child| matches!(child.key(), Some("resourceType" | "id" | "meta")));
        if row.action == DELETE && !is_bare {
            self.report.add(
                About::Version,
                name,
                "its row marks it as deleted, its content does not",
            );
        }
    }

    /// Takes the compartments that a version was sealed for; a tombstone, sealed for none, keeps those before it.
    async fn compartments(
        &mut self,
        patients: Option<Vec<ResourceId>>,
        erased: Vec<i64>,
        is_deleted: bool,
        trail: &mut Trail,
        resources: &mut Resources,
    ) -> Result<(), OpenError> {
        let Some(patients) = patients else {
            trail.members = if is_deleted { trail.members.take() } else { None };
            return Ok(());
        };
        if is_deleted && patients.is_empty() && erased.is_empty() {
            return Ok(());
        }
        let mut members = erased;
        for id in patients {
            match self.patient(&id, resources).await? {
                Some(rid) => members.push(rid),
                None => {
                    let what = "the row of its patient is gone";
                    self.report.add(About::Current, resource(trail.rid), what);
                    trail.members = None;
                    return Ok(());
                }
            }
        }
        members.sort_unstable();
        members.dedup();
        trail.members = Some(members);
        Ok(())
    }

    /// All versions were seen: the current row is that of the newest.
    fn finish(&mut self, trail: Trail, index: &mut Index) {
        let Trail { rid, current: Some((row, key)), newest: Some(newest), content, .. } = trail
        else {
            return index.skip(trail.rid);
        };
        let name = key.to_string();
        let is_erased = is_erased(&newest.payload);
        let is_gone = newest.action == DELETE || is_erased;
        let facts = [
            ("version", row.version == newest.version),
            ("change number", row.change == newest.change),
            ("time", row.updated_us == newest.updated_us),
            ("mark of deletion", row.deleted == i64::from(is_gone)),
            ("hash of its key", row.khash == self.khash(&key)),
            ("place in the order", trail.nsort.is_none_or(|nsort| nsort == row.nsort)),
            ("patient", trail.members.as_ref().is_none_or(|all| column(all) == row.patient)),
        ];
        for (what, _) in facts.into_iter().filter(|(_, fits)| !fits) {
            let what =
                format!("the {what} of its current row is not that of version {}", newest.version);
            self.report.add(About::Current, &name, what);
        }
        let (true, Some(members)) = (content.is_some() || is_erased, trail.members) else {
            return index.skip(rid);
        };
        let nsort = trail.nsort.unwrap_or(row.nsort);
        let resource = Indexed {
            key: &key,
            place: Place { nsort, rid, patient: column(&members) },
            content: content.as_ref().filter(|_| !is_gone).map(Tree::root),
            terms: row.terms.as_deref(),
            present: &row.present,
            members: &members,
        };
        let listed = index.expect(&resource, self.store.index_key(), &self.params);
        if !listed {
            let what = "its list of index terms is not the one that its content gives";
            self.report.add(About::Index, &name, what);
        }
    }
}

impl Trail {
    fn name(&self, version: i64) -> String {
        match &self.current {
            Some((_, key)) => format!("{key}/_history/{version}"),
            None => format!("{} version {version}", resource(self.rid)),
        }
    }
}

/// Column `patient`: 0 for none, -1 for several.
fn column(members: &[i64]) -> i64 {
    match members {
        [] => 0,
        [one] => *one,
        _ => -1,
    }
}

const CREATE: i64 = 1;
const UPDATE: i64 = 2;
const DELETE: i64 = 3;
