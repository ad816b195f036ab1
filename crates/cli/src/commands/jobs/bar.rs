//! How a job comes along, on stderr: a bar on a terminal, else a line now and then.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustwren::__cli::config::Progress;
use rustwren::__cli::durable::Tally;

use super::describe;
use crate::human;
use crate::output::{self, DIM};

const GAUGE: &str = "{prefix:.bold} {bar:30.cyan/dim} {human_pos}/{human_len} {percent:>3}%  {msg}";
const SPINNER: &str = "{prefix:.bold} {spinner} {human_pos} done  {msg}";
/// How often there is a line, at most, where there is no bar.
const LINES: Duration = Duration::from_secs(10);

/// What is shown of a job that is looked at.
pub(super) struct Bar {
    drawn: Option<ProgressBar>,
    total: Option<u64>,
    lines: bool,
    last_line: Option<(Instant, Tally)>,
    begun: Option<(Instant, u64)>,
}

impl Bar {
    pub(super) fn new(show: Progress, label: &str, total: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = match show {
            Progress::Always => true,
            Progress::Never => false,
            Progress::Auto => terminal,
        };
        let drawn = bars.then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
            let template = if total.is_some() { GAUGE } else { SPINNER };
            // Constants, which a test parses.
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("━╸─"));
            bar.set_prefix(label.to_owned());
            bar
        });
        Self { drawn, total, lines: show != Progress::Never, last_line: None, begun: None }
    }

    /// Shows how far the job has come, and what is the matter with it otherwise.
    pub(super) fn update(&mut self, tally: Tally, state: &str) {
        let finished = tally.done + tally.failed;
        let (since, before) = *self.begun.get_or_insert((Instant::now(), finished));
        let Some(bar) = &self.drawn else {
            return self.line(tally);
        };
        let mut words = vec![state.to_owned()];
        if tally.failed > 0 {
            words.push(format!("{} failed", human::count(tally.failed)));
        }
        let rate = (finished - before.min(finished)) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        if rate > 0.0 {
            words.push(if rate < 10.0 {
                format!("{rate:.1}/s")
            } else {
                format!("{}/s", human::count(rate.round() as u64))
            });
            if let Some(total) = self.total {
                let left = total.saturating_sub(finished) as f64 / rate;
                words.push(format!("{} left", human::duration(Duration::from_secs_f64(left.min(1e9)))));
            }
        }
        bar.set_position(finished);
        bar.set_message(words.join(", "));
        bar.tick();
    }

    fn line(&mut self, tally: Tally) {
        let news = match &self.last_line {
            None => true,
            Some((at, told)) => *told != tally && at.elapsed() >= LINES,
        };
        if news && self.lines {
            self.last_line = Some((Instant::now(), tally));
            output::note(&format!("{DIM}{}{DIM:#}", describe::progress(tally, self.total)));
        }
    }

    /// Says something above the bar.
    pub(super) fn note(&self, text: &str) {
        match &self.drawn {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.drawn {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_parse() {
        for template in [GAUGE, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
