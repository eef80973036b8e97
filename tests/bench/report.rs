//! Rounds become rows: medians with their range and ratios to the rivals, as a table for people
//! or as one JSON object a line for machines.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::figures::{Figure, Middle, Outcome};
use crate::floor::Floor;
use crate::scenario::{Case, Contender};

/// Share of the machine used by others from which a row is not to be trusted.
pub(crate) const DISTURBED_FROM: f64 = 0.15;

/// All rounds of one contender.
pub(crate) struct Row {
    pub(crate) contender: Contender,
    pub(crate) rounds: Vec<Outcome>,
}

impl Row {
    /// A figure of all rounds that have it.
    fn values(&self, figure: &Figure) -> Vec<f64> {
        let rounds = self.rounds.iter();
        rounds.filter_map(|outcome| outcome.value(figure)).collect()
    }

    fn others(&self) -> f64 {
        let others = self.rounds.iter().map(|outcome| outcome.others).collect();
        middle(Middle::Median, others).unwrap_or(0.0)
    }

    fn is_disturbed(&self) -> bool {
        self.others() > DISTURBED_FROM
    }

    /// What was wrong in any round.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let rounds = self.rounds.iter().enumerate();
        rounds
            .filter(|(_, outcome)| !outcome.wrong.is_empty())
            .map(|(round, outcome)| format!("round {}: {}", round + 1, outcome.wrong.join(", ")))
            .collect()
    }

    /// How many times the rival's figure ours is. Rounds are compared one by one, so that a
    /// machine that gets slower meanwhile does not count.
    fn ratio(&self, figure: &Figure, rival: &Row) -> Option<f64> {
        let rounds = self.rounds.iter().zip(&rival.rounds);
        let pairs =
            rounds.filter_map(|(ours, rival)| Some((ours.value(figure)?, rival.value(figure)?)));
        match figure.middle {
            Middle::Median => middle(
                Middle::Median,
                pairs
                    .filter(|(_, rival)| *rival != 0.0)
                    .map(|(ours, rival)| ours / rival)
                    .collect(),
            ),
            Middle::Mean => {
                let (ours, rivals) = pairs.fold((0.0, 0.0), |sums, (ours, rival)| {
                    (sums.0 + ours, sums.1 + rival)
                });
                (rivals != 0.0).then_some(ours / rivals)
            }
        }
    }
}

/// A group of rows that belong together.
pub(crate) struct Group<'a> {
    pub(crate) case: &'a Case,
    pub(crate) rows: Vec<Row>,
}

impl Group<'_> {
    /// What the others are set against.
    fn rivals(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| Some((row.contender.rival?, row)))
    }

    /// The figures that any row has, in their order.
    fn figures(&self) -> Vec<&'static Figure> {
        let mut figures = Vec::new();
        for outcome in self.rows.iter().flat_map(|row| &row.rounds) {
            for (figure, _) in &outcome.values {
                if !figures.contains(figure) {
                    figures.push(figure);
                }
            }
        }
        figures
    }

    /// Fixed columns: a row for each contender, then the ratios to what they are set against.
    pub(crate) fn table(&self) -> String {
        let figures = self.figures();
        let mut text = format!("{}: {}\n", self.case.scenario, self.case.words);
        let names = self.rows.iter().map(|row| row.contender.name.len());
        let name_width = names.max().unwrap_or(0) + " / cleartext".len();
        let _ = write!(text, "  {:<name_width$}", "");
        for figure in &figures {
            let _ = write!(text, "  {:>1$}", figure.header, width(figure));
            if figure.shows_range {
                let _ = write!(text, "  {:>1$}", "min-max", range_width(figure));
            }
        }
        text.push_str("  others %\n");
        for row in &self.rows {
            append_row(row, name_width, &figures, &mut text);
        }
        for row in &self.rows {
            if row.contender.rival.is_some() {
                continue;
            }
            for (word, rival) in self.rivals() {
                let name = format!("{} / {word}", row.contender.name);
                let _ = write!(text, "  {name:<name_width$}");
                append_ratios(row, rival, &figures, &mut text);
            }
        }
        text
    }

    /// One object for each row.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.rows.iter().map(|row| self.row_json(row)).collect()
    }

    fn row_json(&self, row: &Row) -> Value {
        let mut figures = Map::new();
        for figure in self.figures() {
            let values = row.values(figure);
            let Some(value) = middle(figure.middle, values.clone()) else {
                continue;
            };
            let (least, most) = range(&values);
            let mut entry = json!({ "value": value, "min": least, "max": most });
            if figure.is_compared && row.contender.rival.is_none() {
                for (word, rival) in self.rivals() {
                    entry[format!("to_{word}")] = json!(row.ratio(figure, rival));
                }
            }
            figures.insert(figure.key.to_owned(), entry);
        }
        json!({
            "scenario": self.case.scenario,
            "case": self.case.words,
            "server": row.contender.name,
            "rounds": row.rounds.len(),
            "others": row.others(),
            "disturbed": row.is_disturbed(),
            "wrong": row.wrong(),
            "figures": figures,
        })
    }
}

fn append_row(row: &Row, name_width: usize, figures: &[&'static Figure], text: &mut String) {
    let _ = write!(text, "  {:<name_width$}", row.contender.name);
    for figure in figures {
        let (values, decimals) = (row.values(figure), figure.decimals);
        let cell = match middle(figure.middle, values.clone()) {
            Some(value) => number(value, decimals),
            None => "-".to_owned(),
        };
        let _ = write!(text, "  {cell:>0$}", width(figure));
        if figure.shows_range {
            let (least, most) = range(&values);
            let cell = format!("{}-{}", number(least, decimals), number(most, decimals));
            let _ = write!(text, "  {cell:>0$}", range_width(figure));
        }
    }
    let _ = write!(text, "  {:>8.0}", row.others() * 100.0);
    if row.is_disturbed() {
        text.push_str("  disturbed");
    }
    for wrong in row.wrong() {
        let _ = write!(text, "  WRONG {wrong}");
    }
    text.push('\n');
}

fn append_ratios(row: &Row, rival: &Row, figures: &[&'static Figure], text: &mut String) {
    for figure in figures {
        let cell = match row.ratio(figure, rival) {
            Some(ratio) if figure.is_compared => format!("{ratio:.2}"),
            _ => String::new(),
        };
        let _ = write!(text, "  {cell:>0$}", width(figure));
        if figure.shows_range {
            let _ = write!(text, "  {:>1$}", "", range_width(figure));
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// What the columns mean.
pub(crate) fn legend() -> String {
    let [plain, coalesced] = [Floor::Plain, Floor::Coalesced].map(Floor::word);
    format!(
        "CPU, user and system are the server's microseconds for each delivery; on loopback they contain the \
         receiving half of TCP.\n\
         {plain}: one write(2) for each delivery, {coalesced}: one for each connection and turn of the loop; both \
         parse nothing.\n\
         Medians of the rounds (user and system: means, from the scheduler's ticks); ratios are medians of those of \
         each round, and below 1.00 where less is spent than by the floor (deliveries/s: above 1.00 is faster).\n\
         worst, median: a bystander's round trips while an attack lasts; for half of that time, they took longer \
         than the median. peak: the server's resident memory at its most.\n\
         write: from the first byte to the whole file, with all turns of the loop in between. turn: the longest one of \
         the loop, up to the next bound of its histogram. start: until it listens, with everybody back.\n\
         report, position: by HTTP, and the same by WebSocket, with what it costs to deliver it; ratio: of both. \
         answered, delivered: from when a report was due.\n\
         resumed: a handshake with a ticket in the place of a signature. cleartext: the same server without TLS; behind \
         nginx: that with nginx before it, CPU and memory of both.\n\
         engine: redis-server. with engine: CPU µs, with the engine's. alone: one node without a bus. taken, published, \
         received: a node's part in a position that nobody follows; engine: its part, and that for each node that hears \
         of it.\n\
         server %: of its core. per read, per write: deliveries that the load finds in one read(2), and that the servers \
         send in one write(2), if nobody else on the machine uses TCP. \
         others %: of the machine, used by others; rows over {:.0} % are disturbed.",
        DISTURBED_FROM * 100.0
    )
}

fn width(figure: &Figure) -> usize {
    figure.header.chars().count().max(8)
}

fn range_width(figure: &Figure) -> usize {
    match figure.decimals {
        0 => 19,
        _ => 13,
    }
}

fn middle(middle: Middle, mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let count = values.len();
    if middle == Middle::Mean {
        return Some(values.iter().sum::<f64>() / count as f64);
    }
    values.sort_by(f64::total_cmp);
    Some((values[(count - 1) / 2] + values[count / 2]) / 2.0)
}

fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        (0.0, 0.0)
    } else {
        (least, most)
    }
}

/// With commas between thousands.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let whole = text.split('.').next().unwrap_or_default().len();
    let mut grouped = String::with_capacity(text.len() + whole / 3);
    for (index, digit) in text.chars().enumerate() {
        let is_inner = index > 0 && index < whole && !grouped.ends_with('-');
        if is_inner && (whole - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
