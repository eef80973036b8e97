//! Between the relay and the other nodes: what is told here is taken in, what is new here is told.

use std::rc::Rc;

use super::deliver::Origin;
use super::nodes::{Told, Word};
use super::parts::Server;
use crate::bus::Ignored;
use crate::point::TrailPoint;
use crate::protocol::{ClientMessage, decode, encode_position};
use crate::relay::RunnerKey;

/// Taken in at once, at most: of a node that dies all runners are told of.
const TOLD_MAX: usize = 2048;

impl Server {
    /// Takes in what came from other nodes.
    pub(super) fn hear(&mut self) {
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        nodes.read(self.poll.registry(), self.now);
        self.take_in();
        self.end_asking();
    }

    fn take_in(&mut self) {
        for _ in 0..TOLD_MAX {
            let Some(told) = self.nodes.as_mut().and_then(|nodes| nodes.next_told()) else {
                return;
            };
            self.take_in_one(told);
            self.relieve();
        }
    }

    fn take_in_one(&mut self, told: Told) {
        match told {
            Told::Position { id, json, age } => {
                // Where only some coordinates are taken, others are not either.
                let Ok(ClientMessage::Position(publication)) = decode(&json, self.config.bounds())
                else {
                    return self.ignore();
                };
                let Some(user) = publication.user.filter(|user| user.text() == &*id) else {
                    return self.ignore();
                };
                let runner = self.relay.hear(&user, publication.fix, age, self.now);
                match age {
                    Some(_) => {
                        // Who follows everyone is told that it is there, and then where.
                        self.relay.owe_change_of(runner, self.now.monotonic);
                        self.announce();
                        self.settle();
                    }
                    None => self.deliver(runner, Origin::Elsewhere),
                }
            }
            Told::Goodbye(id) => {
                if let Some(runner) = self.relay.runner(&id) {
                    self.forget(runner);
                }
            }
            Told::Elsewhere(id, is_elsewhere) => self.relay.set_elsewhere(&id, is_elsewhere),
            Told::Word(id, Word { names, .. }) => self.relay.call_from_elsewhere(&id, &names),
            Told::Read(id) => {
                if let Some(runner) = self.relay.runner(&id) {
                    self.relay.read(runner);
                    self.settle();
                }
            }
            Told::Trail(id, points) => self.take_trail(&id, points),
            Told::Audience(id, count) => self.relay.set_audience_elsewhere(&id, count),
            Told::Everyone(count) => self.relay.set_everyone_elsewhere(count),
            Told::Left(id) => self.relay.forget_elsewhere(&id),
        }
    }

    /// Takes in what an engine kept of a trail, and gives it what is newer, if that came here: the
    /// engine lost it, or was away.
    fn take_trail(&mut self, id: &Rc<str>, points: Vec<TrailPoint>) {
        let kept_until_ms = points.iter().map(|point| point.ms).max();
        self.relay.restore_trail(id, points);
        let runner = self.relay.runner(id);
        let runner = runner.filter(|_| self.relay.stake(id).has_position);
        if let (Some(runner), Some(nodes)) = (runner, &mut self.nodes) {
            let trail = self.relay.trail(runner);
            let newer = trail.filter(|point| kept_until_ms.is_none_or(|ms| point.ms > ms));
            nodes.append(id, newer);
        }
    }

    fn ignore(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.counts.ignore(Ignored::Malformed);
        }
    }

    /// Lets the nodes know in whom there is a stake here.
    pub(super) fn sync(&mut self) {
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        for id in self.relay.take_stakes() {
            let stake = self.relay.stake(&id);
            let word = match stake.is_any() {
                true => Word {
                    is_declared: stake.is_declared,
                    names: self.relay.said_here(&id),
                },
                false => Word::default(),
            };
            nodes.sync(&id, stake, word, self.now);
        }
        for (id, point) in self.relay.take_points() {
            nodes.append(&id, std::iter::once(point));
        }
        nodes.set_everyone(self.relay.followers_of_everyone(), self.now);
        self.take_in();
    }

    /// Tells the other nodes what is new here.
    pub(super) fn tell(&mut self) {
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        while let Some(id) = nodes.next_owed(self.now) {
            let known = self.relay.runner(&id);
            let known = known.and_then(|runner| self.relay.known(runner, self.now.monotonic));
            let message = &mut self.outgoing.message;
            message.clear();
            let known = known.map(|known| {
                encode_position(&known, message);
                (known.fix.made_at_ms(), known.age.as_millis() as u64)
            });
            let known = known.map(|(fix_ms, age_ms)| (fix_ms, &message[..], age_ms));
            if nodes.publish_again(&id, known).is_err() {
                break;
            }
        }
        nodes.write(self.now);
    }

    /// Tells the other nodes that a runner said goodbye.
    pub(super) fn say_goodbye(&mut self, runner: RunnerKey) {
        if let Some(nodes) = &mut self.nodes {
            nodes.say_goodbye(&self.relay.id(runner), self.now);
        }
    }

    /// Takes back what was told of who is here, as this process is about to end. What does not go out
    /// at once the others find out by themselves.
    pub(super) fn leave_nodes(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.end();
            self.tell();
        }
        if let Some(nodes) = &mut self.nodes {
            nodes.hang_up();
        }
    }

    /// Whether the bus is needed and away.
    pub(super) fn lacks_bus(&self) -> bool {
        let is_away = self.nodes.as_ref().is_some_and(|nodes| !nodes.are_well());
        self.config.bus_required && is_away
    }
}
