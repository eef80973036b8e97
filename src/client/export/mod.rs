//! Turns a recording into tracks, a GPX file for each user or GeoJSON for all. Speaks to no server.
//!
//! | file | what it is for |
//! |---|---|
//! | `tracks` | the lines of a recording to a track for each user |
//! | `names` | a file name for each user, whatever the id |
//! | `geojson` | tracks to GeoJSON |

mod geojson;
mod names;
mod tracks;

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgGroup;

use self::names::Names;
use self::tracks::Tracks;
use super::recording::lines::{Flaws, Lines};
use super::{plain, private_file, tell};
use crate::gpx;

/// How much of the recording is read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Flags of `spectate export`.
#[derive(clap::Args, Clone, Debug)]
#[command(group(ArgGroup::new("format").required(true).multiple(true)))]
pub struct ExportFlags {
    /// The recording
    #[arg(value_name = "FILE")]
    recording: PathBuf,

    /// Folder for a GPX file for each user; it is made if it is not there
    #[arg(long, value_name = "DIR", group = "format")]
    gpx: Option<PathBuf>,

    /// File for the tracks of all users as GeoJSON
    #[arg(long, value_name = "FILE", group = "format")]
    geojson: Option<PathBuf>,
}

/// Writes the tracks of a recording, and says how many on stdout.
///
/// # Errors
/// A line that names the file which cannot be read or written.
pub fn run(flags: &ExportFlags) -> Result<ExitCode, String> {
    let path = &flags.recording;
    let refuse = |error: io::Error| format!("{}: {}", path.display(), plain(&error));
    let input = BufReader::with_capacity(BUFFER_BYTES, File::open(path).map_err(refuse)?);
    let mut flaws = Flaws::default();
    let tracks = Tracks::read(Lines::new(input), &mut flaws).map_err(refuse)?;
    flaws.tell(path);
    if tracks.left_out > 0 {
        tell(&format!(
            "{}: left out {} positions that are nowhere on Earth: lat is from -90 to 90, lng from -180 to 180",
            path.display(),
            tracks.left_out
        ));
    }
    if let Some(folder) = &flags.gpx {
        write_gpx(folder, &tracks)?;
    }
    if let Some(file) = &flags.geojson {
        private_file::write_by(file, |out| geojson::write(out, &tracks))?;
    }
    let points: usize = tracks
        .by_user
        .values()
        .map(|track| track.points.len())
        .sum();
    let line = format!("{} tracks, {points} points\n", tracks.by_user.len());
    // Who closed stdout does not want to know.
    let _ = io::stdout().write_all(line.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn write_gpx(folder: &Path, tracks: &Tracks) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("{}: {}", folder.display(), plain(&error)))?;
    let mut names = Names::default();
    for (user, track) in &tracks.by_user {
        let path = folder.join(names.of(user) + ".gpx");
        let points = track.points.iter().map(|point| gpx::Point {
            lat: point.lat,
            lng: point.lng,
            altitude: point.altitude(),
            at_s: Some(point.at_ms as f64 / 1000.0),
            name: None,
        });
        private_file::write_by(&path, |out| gpx::write(out, user, points))?;
    }
    Ok(())
}
