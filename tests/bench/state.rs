//! What it costs to keep a large state in a file: its size, how long it takes to write and to read
//! it, and what those notice of it who are served meanwhile.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bystander::{Bystander, Hellos};
use crate::crowd::PATIENCE;
use crate::figures::{self, Outcome};
use crate::machine::Cores;
use crate::peer::Peer;
use crate::process::{Process, Program};
use crate::scrape::Scrape;
use crate::span::Mark;

/// Points of each trail, and how far they are apart in time, in milliseconds.
const POINTS: usize = 240;
const POINT_MS: usize = 30_000;

/// When the first of them was made: some time in 2023.
const FIRST_MS: usize = 1_700_000_000_000;

/// The lowest id. All have the same number of digits.
const FIRST_ID: usize = 1_000_000;

/// Who is somewhere, and how many of them came some way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) runners: usize,
    pub(crate) trails: usize,
}

/// How often the state is written while it is looked at.
const WRITES: usize = 2;

/// Positions sent before the server is asked whether it has them.
const BATCH: usize = 50_000;

/// Many users are somewhere; the server writes that, stops, and starts again.
pub(crate) fn run(program: &Program, cores: Cores, field: Field) -> Result<Outcome, String> {
    let file = StateFile::new();
    let process = Process::start_with_state(program, cores, &file.0)?;
    publish(process.address, field).map_err(|error| format!("positions: {error}"))?;
    let mut scrape = Scrape::read(process.address)?;
    let first = Mark::take(&process);
    let (bystander, began) = (
        Bystander::start(process.address, &Hellos::plain())?,
        Instant::now(),
    );
    let (before, mut write_s) = (ticks(&scrape), 0.0);
    for _ in 0..WRITES {
        scrape = next_write(
            &process,
            scrape.value("spectate_state_written_timestamp_seconds"),
        )?;
        write_s = scrape.value("spectate_state_write_seconds").max(write_s);
    }
    let met = bystander.stop(began, Instant::now())?;
    let span = first.to(&Mark::take(&process));
    let bytes = scrape.value("spectate_state_bytes");
    let peak_kib = process.peak_kib();
    let stopping = Instant::now();
    process.stop()?;
    let stop = stopping.elapsed();
    let starting = Instant::now();
    let process = Process::start_with_state(program, cores, &file.0)?;
    let start = starting.elapsed();
    let back = Scrape::read(process.address)?;
    let mut wrong = Vec::new();
    // The bystander is one more, who stands still: its trail is one point for each half minute.
    let (known, points) = (known(&back), back.value("spectate_trail_points"));
    if known != field.runners as f64 + 1.0 {
        wrong.push(format!("{known} runners came back"));
    }
    if points < (field.trails * POINTS) as f64 {
        wrong.push(format!("{points} points came back"));
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Outcome {
        values: vec![
            (&figures::STATE_BYTES, bytes / 1e6),
            (&figures::WRITE, write_s * 1e3),
            (
                &figures::LONGEST_TURN,
                longest_turn_ms(&before, &ticks(&scrape)),
            ),
            (&figures::WORST, ms(met.worst)),
            (&figures::MEDIAN, ms(met.median)),
            (&figures::STOP, ms(stop)),
            (&figures::RESTORE, ms(start)),
            (&figures::PEAK, peak_kib as f64 / 1024.0),
        ],
        wrong,
        others: span.others,
    })
}

/// A file of ours, gone with those beside it when this is dropped.
struct StateFile(PathBuf);

impl StateFile {
    fn new() -> StateFile {
        let name = format!("bench-{}.state", std::process::id());
        StateFile(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        for ending in ["", ".old", ".new", ".lock"] {
            let mut path = self.0.clone().into_os_string();
            path.push(ending);
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Has everybody be where they are, and come from where they came.
fn publish(server: SocketAddr, field: Field) -> std::io::Result<()> {
    let mut gateway = Peer::open(server)?;
    for point in 0..POINTS {
        publish_users(&mut gateway, 0..field.trails, point)?;
    }
    publish_users(&mut gateway, field.trails..field.runners, 0)
}

fn publish_users(gateway: &mut Peer, users: Range<usize>, point: usize) -> std::io::Result<()> {
    let ms = FIRST_MS + point * POINT_MS;
    for begin in users.clone().step_by(BATCH) {
        let batch = begin..(begin + BATCH).min(users.end);
        gateway.send_all(batch.map(|user| {
            // Some 11 m behind the point before.
            let (id, lat) = (FIRST_ID + user, 100 * point + user % 100);
            format!(
                "{{\"userId\":{id},\"lat\":45.{lat:06},\"lng\":12.{user:06},\"timestamp\":{ms}}}"
            )
        }))?;
        gateway.settle()?;
    }
    Ok(())
}

/// Waits until the state was written after this time.
fn next_write(process: &Process, after: f64) -> Result<Scrape, String> {
    let began = Instant::now();
    loop {
        let scrape = Scrape::read(process.address)?;
        if scrape.value("spectate_state_written_timestamp_seconds") > after {
            return Ok(scrape);
        }
        if began.elapsed() > PATIENCE {
            return Err("the state is not written".to_owned());
        }
        // Each look is a request that the loop answers: more of them would be measured with it.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The upper bound of the longest turns of the loop between two readings of its histogram.
fn longest_turn_ms(before: &[(f64, f64)], after: &[(f64, f64)]) -> f64 {
    let mut longest_s = 0.0;
    let mut below = 0.0;
    for ((bound_s, then), (_, now)) in before.iter().zip(after) {
        if now - then > below {
            longest_s = *bound_s;
        }
        below = now - then;
    }
    longest_s * 1e3
}

/// Of how many users it is known where they are.
fn known(scrape: &Scrape) -> f64 {
    ["live", "stale"]
        .map(|state| scrape.value(&format!("spectate_runners{{state=\"{state}\"}}")))
        .iter()
        .sum()
}

/// The turns of the loop: how many took up to so many seconds.
fn ticks(scrape: &Scrape) -> Vec<(f64, f64)> {
    let buckets = scrape.lines().filter_map(|line| {
        let rest = line.strip_prefix("spectate_tick_seconds_bucket{le=\"")?;
        let (bound, count) = rest.split_once("\"} ")?;
        Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
    });
    buckets.collect()
}
