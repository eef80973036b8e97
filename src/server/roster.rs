//! The roster's file: read at the start and again when the operator asks for it, and made once into
//! the answer to whoever wants to see it.

use std::path::PathBuf;

use log::{error, info};

use super::pages::Page;
use crate::protocol::encode_roster;
use crate::roster::{Entry, Roster};
use crate::user::Called;

/// The file, and the answer that came of it.
#[derive(Debug)]
pub(super) struct RosterFile {
    path: Option<PathBuf>,
    answer: Page,
}

impl RosterFile {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn load(path: Option<PathBuf>) -> Result<(RosterFile, Roster), String> {
        let roster = path.as_deref().map(Roster::load).transpose()?;
        let roster = roster.unwrap_or_default();
        let answer = answer(&roster);
        Ok((RosterFile { path, answer }, roster))
    }

    /// Whether there is a file.
    pub(super) fn is_given(&self) -> bool {
        self.path.is_some()
    }

    /// Reads the file again, if there is one. One that cannot be used changes nothing.
    pub(super) fn reload(&mut self) -> Option<Roster> {
        match Roster::reload(self.path.as_deref()?) {
            Ok(roster) => {
                info!("reload roster={}", roster.entries().len());
                self.answer = answer(&roster);
                Some(roster)
            }
            Err(line) => {
                error!("reload error=\"{line}\" roster=unchanged");
                None
            }
        }
    }

    /// All users on it, as JSON.
    pub(super) fn answer(&self) -> &Page {
        &self.answer
    }
}

fn answer(roster: &Roster) -> Page {
    let users = roster.entries().iter().map(|entry| {
        let Entry { id, name, color } = entry;
        let (name, color) = (Some(&**name), color.as_deref());
        (&**id, Called { name, color })
    });
    Page::of_json(&encode_roster(users))
}
