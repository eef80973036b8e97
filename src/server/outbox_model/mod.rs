//! The outbox, with the relay behind it, against what a follower may and must see.

mod follows;
mod promises;
mod world;

use std::io::{self, Write};
use std::time::Duration;

use proptest::prelude::*;

use self::world::World;
use super::wire::frames::Frames;
use super::wire::outbox::{Gather, Mark, Outbox};
use super::wire::stream::Stream;

const USERS: u32 = 5;

#[derive(Clone, Debug)]
enum Operation {
    Publish(u32),
    /// With trails from a time on, if there are any.
    Follow(u32, u64),
    Unfollow(u32),
    FollowEveryone(u64),
    UnfollowEveryone,
    /// A user's presence changes.
    Change(u32),
    /// So many points of trails are asked for, from a time on.
    AskTrails(u32, u64),
    /// A trail is sent again.
    SendAgain(u32),
    /// The number of followers changes.
    Audience,
    Error,
    Ping,
    /// The socket takes so many bytes more.
    Room(usize),
    /// From now on so many trails may go.
    Allow(usize),
    /// The tick ends, and positions are held back or not.
    Flush(bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    let user = 0..USERS;
    let from_ms = || prop_oneof![Just(0), Just(1), Just(2)];
    prop_oneof![
        8 => user.clone().prop_map(Operation::Publish),
        2 => (user.clone(), from_ms()).prop_map(|(user, from_ms)| Operation::Follow(user, from_ms)),
        1 => user.clone().prop_map(Operation::Unfollow),
        1 => from_ms().prop_map(Operation::FollowEveryone),
        1 => prop_oneof![2 => from_ms().prop_map(Operation::FollowEveryone), 1 => Just(Operation::UnfollowEveryone)],
        1 => (prop::sample::select(vec![0, 3, 100]), from_ms()).prop_map(|(points, from_ms)| Operation::AskTrails(points, from_ms)),
        1 => user.clone().prop_map(Operation::SendAgain),
        2 => user.prop_map(Operation::Change),
        1 => Just(Operation::Audience),
        1 => Just(Operation::Error),
        1 => Just(Operation::Ping),
        4 => (0..60usize).prop_map(Operation::Room),
        2 => (0..3usize).prop_map(Operation::Allow),
        5 => prop::bool::weighted(0.2).prop_map(Operation::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_follower_gets_everything_or_else_the_newest_of_each(operations in prop::collection::vec(operation(), 0..150)) {
        let mut world = World::new();
        for operation in operations {
            match operation {
                Operation::Publish(user) => world.publish(&user.to_string()),
                Operation::Follow(user, from_ms) => world.follow(&user.to_string(), from_ms),
                Operation::Unfollow(user) => world.unfollow(&user.to_string()),
                Operation::FollowEveryone(from_ms) => world.follow_everyone(from_ms),
                Operation::AskTrails(points, from_ms) => world.ask_trails(points, from_ms),
                Operation::SendAgain(user) => world.send_again(&user.to_string()),
                Operation::UnfollowEveryone => world.unfollow_everyone(),
                Operation::Change(user) => world.change(&user.to_string()),
                Operation::Audience => world.change_audience(),
                Operation::Error => world.error(),
                Operation::Ping => world.ping(),
                Operation::Room(bytes) => world.socket().room += bytes,
                // However short one is, it counts for more than this.
                Operation::Allow(trails) => world.gather.allow_trails(trails * 512),
                Operation::Flush(hold) => world.flush(hold),
            }
        }
        world.check_end();
    }
}

/// A follower of this many users whose socket takes nothing.
fn stalled(users: u32) -> World {
    let mut world = World::new();
    world.socket().room = usize::MAX;
    for user in 0..users {
        world.follow(&user.to_string(), 0);
    }
    world.flush(false);
    world.socket().room = 0;
    world.publish("0");
    world.flush(false);
    assert!(world.is_blocked);
    world
}

#[test]
fn a_stalled_follower_costs_what_it_follows_whatever_the_traffic() {
    let mut world = stalled(USERS);
    let mut room = 0;
    for round in 0..10_000 {
        for user in 0..USERS {
            world.publish(&user.to_string());
        }
        world.ping();
        world.flush(false);
        room = room.max(world.outbox.heap_bytes());
        assert!(round < 10 || room <= 1024, "{room} bytes");
    }
    world.promises.pongs.drain(..world.promises.pongs.len() - 1);
    world.check_end();
    assert_eq!(world.outbox.heap_bytes(), 0, "all room is given back");
}

#[test]
fn who_was_owed_first_is_served_first() {
    let mut world = stalled(4);
    for user in ["2", "0", "3", "2", "1", "0"] {
        world.publish(user);
    }
    world.socket().room = usize::MAX;
    world.flush(false);
    let text = String::from_utf8_lossy(&world.socket().taken).into_owned();
    let order: Vec<char> = text
        .match_indices("p ")
        .filter_map(|(at, _)| text[at + 2..].chars().next())
        .collect();
    assert_eq!(order, ['0', '2', '3', '1']);
}

#[test]
fn errors_that_nobody_reads_are_bounded() {
    let mut world = stalled(1);
    let mut bytes = 0;
    while (world.outbox).push_error(&[b'x'; 100], &mut world.frames, false) {
        bytes += 102;
        assert!(bytes <= 64 * 1024);
    }
    assert!(bytes > 63 * 1024);
}

#[test]
fn followers_of_the_same_runners_are_written_to_without_a_copy() {
    // What reaches the socket is one write of the frames' own bytes.
    struct OneWrite(Vec<usize>);
    impl Write for OneWrite {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.as_ptr() as usize);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut frames = Frames::default();
    let mut socket = Stream::plain(OneWrite(Vec::new()));
    let mut outboxes = [Outbox::default(), Outbox::default()];
    for number in 0..20 {
        let frame = frames.push(b"{}");
        for outbox in &mut outboxes {
            outbox.push(frame, number);
        }
    }
    for outbox in &mut outboxes {
        let flushed = outbox
            .flush(
                &mut socket,
                &frames,
                false,
                &mut Gather::default(),
                |_: Mark, _: &mut Vec<u8>| false,
            )
            .expect("the socket does not fail");
        assert_eq!((flushed.bytes, flushed.positions), (80, 20));
    }
    assert_eq!(socket.socket_mut().0.len(), 2);
    let begins = &socket.socket_mut().0;
    assert_eq!(begins[0], begins[1]);
}

#[test]
fn trails_beyond_those_of_a_tick_go_with_the_next_and_so_do_positions_behind_them() {
    let mut world = World::new();
    world.socket().room = usize::MAX;
    let users = ["0", "1", "2"];
    for user in users {
        world.publish(user);
    }
    world.ask_trails(3, 0);
    world.follow_everyone(0);
    for ticks in 1..=users.len() {
        world.gather.allow_trails(1);
        world.publish("2");
        world.flush(false);
        let text = String::from_utf8_lossy(&world.socket().taken).into_owned();
        assert_eq!(text.matches("t ").count(), ticks, "{text}");
        assert_eq!(world.is_blocked, ticks < users.len(), "{text}");
    }
    let text = String::from_utf8_lossy(&world.socket().taken).into_owned();
    assert!(text.ends_with("k 2 6"), "the newest: {text}");
    world.check_end();
}

#[test]
fn ages_are_told_as_they_are_when_they_go() {
    let mut world = stalled(2);
    world.unfollow("0");
    world.follow("0", 0);
    world.now.monotonic += Duration::from_secs(5);
    world.socket().room = usize::MAX;
    world.flush(false);
    assert!(String::from_utf8_lossy(&world.socket().taken).contains("k 0 1"));
}

#[test]
fn room_that_a_burst_needed_is_given_back() {
    let mut world = World::new();
    world.follow("0", 0);
    world.socket().room = usize::MAX;
    for _ in 0..64 {
        world.publish("0");
    }
    world.flush(false);
    world.outbox.shrink();
    assert!(
        world.outbox.heap_bytes() <= 32,
        "{} bytes",
        world.outbox.heap_bytes()
    );
}
