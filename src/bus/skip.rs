//! A value that is too large to be decoded is passed over byte by byte, so that what follows can be
//! read. Must never keep any of it, nor know what it says.

use super::resp::{self, DEPTH_MAX, Head, Malformed};

/// How far a value has been passed over.
#[derive(Debug)]
pub(super) struct Skip {
    /// Of a string that has begun: how many of its bytes are to come, before its CR LF.
    blob_left: Option<usize>,
    /// How many values are to come in each list that has begun; the first is for the value itself.
    left: Vec<usize>,
    is_push: bool,
}

impl Skip {
    /// A value of which nothing was passed over yet.
    pub(super) fn new() -> Skip {
        Skip {
            blob_left: None,
            left: vec![1],
            is_push: false,
        }
    }

    /// Passes over as many of these bytes as it returns; the others are to come again, with more.
    ///
    /// # Errors
    /// They are no value, or have too many lists in each other.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while !self.is_over() {
            if let Some(left) = &mut self.blob_left {
                let count = (*left).min(bytes.len() - at);
                (*left, at) = (*left - count, at + count);
                match bytes.get(at..at + 2) {
                    Some(b"\r\n") if *left == 0 => at += 2,
                    Some(_) => return Err(Malformed),
                    None => break,
                }
                self.blob_left = None;
            } else {
                let Some((head, end)) = resp::head_at(bytes, at)? else {
                    break;
                };
                self.begin(head)?;
                at = end;
            }
            while self.left.last() == Some(&0) {
                self.left.pop();
            }
        }
        Ok(at)
    }

    fn begin(&mut self, head: Head) -> Result<(), Malformed> {
        let is_about_next = matches!(head, Head::List { kind: b'|', .. });
        let is_whole = self.left.len() == 1;
        if let Some(left) = self.left.last_mut().filter(|_| !is_about_next) {
            *left -= 1;
        }
        match head {
            Head::Whole(_) => {}
            Head::Blob { length, .. } => self.blob_left = Some(length),
            Head::List { kind, count } => {
                if self.left.len() > DEPTH_MAX {
                    return Err(Malformed);
                }
                self.is_push |= is_whole && kind == b'>';
                self.left.push(resp::items(kind, count));
            }
        }
        Ok(())
    }

    /// Whether all of it was passed over.
    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty() && self.blob_left.is_none()
    }

    /// Whether it was no answer, but came by itself.
    pub(super) fn is_push(&self) -> bool {
        self.is_push
    }
}
