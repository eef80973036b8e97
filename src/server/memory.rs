//! How much memory all ceilings together allow: measured costs, each times its limit. What is not
//! counted is the program itself, some 3 MiB.

use super::config::Config;
use super::course::COURSE_POINTS_MAX;
use super::http::HEAD_BYTES_MAX;
use super::os::limits::Limits;
use super::wire::outbox::ERROR_BYTES_MAX;
use super::wire::reader::BODIES_BYTES_MAX;
use super::wire::tls::RECORD_BYTES_MAX;

/// Most bytes that all unsent answers together may hold.
pub(super) const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An open connection that is owed nothing.
const CONNECTION_BYTES: u64 = 1024;

/// A follow of somebody whom nobody else knows, with the longest of ids, and what marks that its
/// follower is behind on it.
const FOLLOW_BYTES: u64 = 338;

/// What the longest of tokens grants, where tokens are asked for.
const GRANT_BYTES: u64 = 12 * 1024;

/// A last known position, and the user whose it is.
const LAST_KNOWN_BYTES: u64 = 512;

/// A point of a trail in a message, with the most digits: the rest of one message waits for a socket
/// that takes no more.
pub(super) const TRAIL_POINT_BYTES: usize = 64;

/// A course of the most points, each with the most digits, plain and packed.
const COURSE_BYTES: u64 = 8 * 1024 * 1024;
const _: () = assert!(COURSE_BYTES as usize > COURSE_POINTS_MAX * 80);

/// What is written of the state in one turn of the loop, at most, and the room that its buffer has
/// to grow.
pub(super) const STATE_SLICE_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// What a user is called by a token and by itself, both at the longest: of each whose last known
/// position is kept, and of each that a connection is.
const NAMES_BYTES: u64 = 208;

/// A connection of plain HTTP: itself, and the longest of heads in a buffer that has just grown.
const HTTP_CONNECTION_BYTES: u64 = CONNECTION_BYTES + 2 * HEAD_BYTES_MAX as u64;

/// What TLS takes of a connection: its keys, a record that is not all here, one that found no room
/// when it was decrypted, and one that is not sent.
const TLS_BYTES: u64 = 4 * 1024 + 3 * RECORD_BYTES_MAX as u64;

/// A user of whom other nodes are told or asked: with the longest of ids, its names twice, and a
/// position that waits.
const TOPIC_BYTES: u64 = 1536;

/// Positions of users that wait for what the engine knows of them, besides one of each.
pub(super) const BUS_HELD_MAX: usize = 16 * 1024;

/// Users at most who are asked for on behalf of requests, until they are left: more are answered with
/// what is known here.
pub(super) const BUS_ASKED_MAX: usize = 64 * 1024;

/// What came from one engine and was not looked at: a value that is not all here, one read, and room
/// to grow.
pub(super) const BUS_IN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Users of whom a node hears at most because others know them: no more are remembered or followed.
pub(super) fn topics_max(config: &Config) -> u64 {
    u64::from(config.max_runners) + u64::from(config.max_follows_total)
}

/// What the bus may come to hold, with so many connections.
fn by_bus(config: &Config, connections: u64) -> u64 {
    let topics = topics_max(config) + connections + BUS_ASKED_MAX as u64;
    match config.bus.len() as u64 {
        0 => 0,
        engines => {
            (topics + BUS_HELD_MAX as u64) * TOPIC_BYTES
                + engines * (config.bus_out_buffer + BUS_IN_BYTES_MAX)
        }
    }
}

/// The most that the server may come to hold, in bytes, with so many connections.
pub(super) fn memory_max(config: &Config, limits: Limits) -> u64 {
    let connections = limits.websockets as u64;
    let message_bytes = u64::from(config.max_message_bytes);
    // The beginning of a message as it came, the pieces of one put together so far, and room to grow.
    let pieces = connections * (3 * message_bytes + ERROR_BYTES_MAX as u64);
    let grants = match config.keys.are_given() {
        true => connections * GRANT_BYTES,
        false => 0,
    };
    let trail_bytes = u64::from(config.trail) * TRAIL_POINT_BYTES as u64;
    let trails = match config.trail {
        0 => 0,
        _ => config.trail_memory + connections * trail_bytes,
    };
    let by_tls = match config.tls_listen.is_empty() {
        true => 0,
        false => (connections + limits.http as u64) * TLS_BYTES,
    };
    connections * CONNECTION_BYTES
        + by_tls
        + by_bus(config, connections)
        + grants
        + config.course.iter().len() as u64 * COURSE_BYTES
        + config.state.iter().len() as u64 * STATE_SLICE_BYTES_MAX
        + u64::from(config.max_follows_total) * FOLLOW_BYTES
        + u64::from(config.max_runners) * LAST_KNOWN_BYTES
        + (connections + u64::from(config.max_runners)) * NAMES_BYTES
        + pieces
        + trails
        + limits.http as u64 * HTTP_CONNECTION_BYTES
        + BODIES_BYTES_MAX as u64
        + UNSENT_BYTES_MAX as u64
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    fn with(flags: &[&str], websockets: usize) -> u64 {
        let limits = Limits {
            websockets,
            http: websockets / 4,
        };
        let arguments = ["serve"].iter().chain(flags);
        memory_max(&Flags::parse_from(arguments).config, limits)
    }

    #[test]
    fn each_ceiling_counts_and_a_small_machine_can_have_small_ones() {
        let default = with(&[], 1000);
        for flags in [
            ["--max-follows-total", "1000"],
            ["--max-runners", "1000"],
            ["--max-message-bytes", "256"],
            ["--trail-memory", "1MiB"],
            ["--trail", "100"],
            ["--trail", "0"],
        ] {
            assert!(with(&flags, 1000) < default, "{flags:?}");
        }
        assert!(with(&[], 100) < default);
        assert!(with(&["--course", "way.gpx"], 1000) > default);
        assert!(with(&["--state", "state"], 1000) > default);
        let small = ["--max-follows-total", "700000", "--max-runners", "150000"];
        assert!(with(&small, 2000) < 1 << 30);
        assert!(with(&["--bus", "redis://127.0.0.1"], 1000) > default);
        let tls = "--tls-listen [::]:443 --tls-cert-file cert --tls-key-file key";
        let tls: Vec<&str> = tls.split(' ').collect();
        assert!(with(&tls, 1000) > default);
        let with_tls = with(&[&small[..], &tls].concat(), 2000);
        assert!(with_tls < with(&small, 2000) + 160 * 1024 * 1024);
    }
}
