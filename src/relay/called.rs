//! What users are called: by the roster, or else by a token, or else by themselves. Who says it
//! without a roster is believed while there is a connection or a last known position of the user.

use super::hub::Hub;
use super::keys::RunnerKey;
use super::names::{NamedBy, Names};
use crate::roster::Roster;
use crate::user::Called;

impl Hub {
    /// What a user is called.
    pub(super) fn called(&self, runner: RunnerKey) -> Called<'_> {
        let runner = self.runners.get(runner.0 as usize);
        runner.map_or(Called::default(), |runner| {
            called(&self.roster, &runner.id, runner.names.as_deref())
        })
    }

    /// Has a user be called so, or no longer. A name is kept only of one whose last known position
    /// is, or whom some member declared.
    pub(super) fn set_name(&mut self, runner: RunnerKey, by: NamedBy, name: Option<&str>) {
        let RunnerKey(key) = runner;
        let runner = &mut self.runners[key as usize];
        if runner.names.is_none() && name.is_none() {
            return;
        }
        self.revision += 1;
        let is_other = runner.names.get_or_insert_default().set(by, name);
        if is_other && self.roster.get(&self.runners[key as usize].id).is_none() {
            self.note_change(key);
        }
    }

    /// Forgets what a user was called of whom no position is known any more, and whom no member
    /// declared.
    pub(super) fn forget_names(&mut self, key: u32) {
        let runner = &mut self.runners[key as usize];
        if runner.last.is_none() && !runner.is_connected() {
            runner.names = None;
            self.forget_said(key);
        }
    }

    /// Puts another roster into the place of the one before.
    pub(super) fn set_roster(&mut self, roster: Roster) {
        for entry in roster.entries() {
            let key = self.key_or_new(&entry.id) as usize;
            (self.runners[key].is_listed, self.runners[key].was_known) = (true, true);
        }
        let before = std::mem::replace(&mut self.roster, roster);
        let entries = before.entries().iter().chain(self.roster.entries());
        let changed = entries.filter_map(|entry| {
            let RunnerKey(key) = self.runner(&entry.id)?;
            let names = self.runners[key as usize].names.as_deref();
            let is_same =
                called(&before, &entry.id, names) == called(&self.roster, &entry.id, names);
            (!is_same).then_some(key)
        });
        for key in changed.collect::<Vec<u32>>() {
            self.note_change(key);
        }
        for entry in before.entries() {
            if self.roster.get(&entry.id).is_none()
                && let Some(runner) = self.runner(&entry.id)
            {
                self.runners[runner.0 as usize].is_listed = false;
                self.forget_unused(runner);
            }
        }
    }
}

fn called<'a>(roster: &'a Roster, id: &str, names: Option<&'a Names>) -> Called<'a> {
    match roster.get(id) {
        Some(entry) => Called {
            name: Some(&entry.name),
            color: entry.color.as_deref(),
        },
        None => Called {
            name: names.and_then(Names::name),
            color: None,
        },
    }
}
