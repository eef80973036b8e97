//! Who follows whom in the scenarios, and how many of them descriptors allow.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::flight::Graph;

/// A number of followers that descriptors allow, and whether that is less than wanted.
#[derive(Clone, Copy)]
pub(crate) struct Fitting {
    pub(crate) count: usize,
    wanted: usize,
}

impl Fitting {
    /// The most runners that come beside such followers.
    const RUNNERS: usize = 10;

    pub(crate) fn new(wanted: usize, connections_max: usize) -> Fitting {
        Fitting {
            count: wanted.min(connections_max.saturating_sub(Fitting::RUNNERS)),
            wanted,
        }
    }
}

impl std::fmt::Display for Fitting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}", self.count)?;
        if self.count < self.wanted {
            write!(
                formatter,
                " (scaled down from {}: too few descriptors)",
                self.wanted
            )?;
        }
        Ok(())
    }
}

/// Each user follows itself and the next.
pub(crate) fn ring(users: u32) -> Graph {
    Graph {
        runners: users as usize,
        following: (0..users)
            .map(|user| vec![user, (user + 1) % users])
            .collect(),
    }
}

/// Each user follows some others at random. The same graph each time: every server gets the same work.
pub(crate) fn mesh(users: usize, follows: usize) -> Graph {
    let mut random = StdRng::seed_from_u64(1);
    let following = (0..users as u32)
        .map(|user| {
            let mut others = Vec::with_capacity(follows);
            while others.len() < follows.min(users - 1) {
                let other = random.random_range(0..users as u32);
                if other != user && !others.contains(&other) {
                    others.push(other);
                }
            }
            others
        })
        .collect();
    Graph {
        runners: users,
        following,
    }
}
