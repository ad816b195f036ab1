//! Progress bars: one line per running job.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustwren_core::executor::JobHandle;
use rustwren_core::price::Usd;
use rustwren_core::scheduler::stats::Progress;

/// For jobs of known length.
const GAUGE: &str = "{prefix:.bold} {bar:30.cyan/dim} {human_pos}/{human_len} {percent:>3}%  {msg}";
/// For jobs of unknown length.
const SPINNER: &str = "{prefix:.bold} {spinner} {human_pos} done  {msg}";
/// How often a bar is brought up to date.
const TICK: Duration = Duration::from_millis(100);
/// Jobs that are over sooner show no bar.
const PATIENCE: Duration = Duration::from_millis(300);

fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
}

/// Runs `write` while no bar is on the screen.
pub(super) fn suspended(write: impl FnOnce()) {
    bars().suspend(write);
}

/// What is on the screen of one job.
#[derive(Debug, Clone, Default)]
struct Drawn(Arc<Mutex<Screen>>);

#[derive(Debug, Default)]
enum Screen {
    #[default]
    Nothing,
    Bar(ProgressBar),
    /// Nothing, and nothing will be.
    Over,
}

impl Drawn {
    fn lock(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bar off the screen for good.
    fn end(&self) {
        if let Screen::Bar(bar) = std::mem::replace(&mut *self.lock(), Screen::Over) {
            bar.finish_and_clear();
            bars().remove(&bar);
        }
    }
}

/// The jobs that have a bar or may get one, by id.
fn jobs() -> MutexGuard<'static, HashMap<String, Drawn>> {
    static JOBS: OnceLock<Mutex<HashMap<String, Drawn>>> = OnceLock::new();
    JOBS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all bars; those jobs get none any more.
pub(super) fn clear() {
    let ended: Vec<Drawn> = jobs().drain().map(|(_, drawn)| drawn).collect();
    ended.iter().for_each(Drawn::end);
}

/// Removes a job's bar, before anybody learns of its end: what is printed then finds a clean line.
pub(super) fn end(id: &str) {
    let ended = jobs().remove(id);
    if let Some(drawn) = ended {
        drawn.end();
    }
}

/// Shows a bar until the job ends, drawn by a thread of its own.
pub(super) fn show(job: JobHandle) {
    let drawn = Drawn::default();
    jobs().insert(job.id().to_owned(), drawn.clone());
    let drawing =
        std::thread::Builder::new().name("rustwren-progress".to_owned()).spawn(move || draw(&job, &drawn));
    if let Err(error) = drawing {
        eprintln!("warning: no progress bar: {error}");
    }
}

fn draw(job: &JobHandle, drawn: &Drawn) {
    let started = Instant::now();
    let mut rate = Rate::default();
    loop {
        std::thread::park_timeout(TICK);
        let mut screen = drawn.lock();
        if matches!(*screen, Screen::Over) {
            return;
        }
        if started.elapsed() < PATIENCE {
            continue;
        }
        let progress = job.progress();
        if let Screen::Nothing = *screen {
            let bar = ProgressBar::no_length().with_style(spinner()).with_prefix(job.label().to_owned());
            *screen = Screen::Bar(bars().add(bar));
        }
        let Screen::Bar(bar) = &*screen else { continue };
        if let Some(total) = progress.total
            && bar.length() != Some(total)
        {
            bar.set_length(total);
            bar.set_style(gauge());
        }
        bar.set_position(progress.finished());
        let per_second = rate.update(started.elapsed(), progress.finished());
        bar.set_message(message(&progress, job.stats().cost, per_second));
        bar.tick();
    }
}

/// `12 running, 1 failed, 2 retried, $0.12, 4 321/s, 0:12 left`
fn message(progress: &Progress, cost: Usd, per_second: f64) -> String {
    let mut parts = vec![format!("{} running", HumanCount(progress.running))];
    if progress.failed > 0 {
        parts.push(format!("{} failed", HumanCount(progress.failed)));
    }
    if progress.retried > 0 {
        parts.push(format!("{} retried", HumanCount(progress.retried)));
    }
    if cost > Usd::ZERO {
        parts.push(cost.to_string());
    }
    if per_second > 0.0 {
        let shown = if per_second < 10.0 {
            format!("{per_second:.1}/s")
        } else {
            format!("{}/s", HumanCount(per_second.round() as u64))
        };
        parts.push(shown);
        if let Some(total) = progress.total {
            let left = total.saturating_sub(progress.finished()) as f64 / per_second;
            parts.push(format!("{} left", clock(Duration::from_secs_f64(left.min(1e9)))));
        }
    }
    parts.join(", ")
}

/// `0:07`, `12:34`, `3:02:01`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Finished elements per second over the last few seconds.
#[derive(Debug, Default)]
struct Rate {
    per_second: Option<f64>,
    last: Option<(Duration, u64)>,
}

impl Rate {
    fn update(&mut self, now: Duration, finished: u64) -> f64 {
        let (then, before) = *self.last.get_or_insert((Duration::ZERO, 0));
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds >= 0.5 {
            let recent = finished.saturating_sub(before) as f64 / seconds;
            self.per_second = Some(self.per_second.map_or(recent, |old| old + (recent - old) * 0.3));
            self.last = Some((now, finished));
        }
        self.per_second.unwrap_or_else(|| finished as f64 / now.as_secs_f64().max(1e-3))
    }
}

fn gauge() -> ProgressStyle {
    style(GAUGE).progress_chars("━╸─")
}

fn spinner() -> ProgressStyle {
    style(SPINNER)
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are constants that the tests parse.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
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

    #[test]
    fn the_message_tells_what_matters() {
        let progress = Progress { total: Some(1000), done: 100, failed: 1, running: 4, retried: 2 };
        let told = message(&progress, Usd::ZERO, 9.0);
        assert_eq!(told, "4 running, 1 failed, 2 retried, 9.0/s, 1:39 left");
        let told = message(&Progress::default(), Usd::from_nanos(120_000_000), 0.0);
        assert_eq!(told, "0 running, $0.12");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 121)), "3:02:01");
    }
}
