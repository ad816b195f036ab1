//! What tasks print is printed by the runtime, for the platform to keep.

use std::sync::mpsc;

use rustwren::blocking::block_on;
use rustwren_testkit::standins::functions_host::Console;

use crate::place::{Place, Plan};

/// Prints two lines, and one to stderr.
fn printing(x: u64) -> u64 {
    println!("doubling {x}\nonce more");
    eprintln!("and complaining");
    x * 2
}

/// Each line is printed with its job and its task, by calls and by the queue.
pub(crate) fn lines_of_tasks() {
    for queue in [false, true] {
        let (heard, lines) = mpsc::channel();
        let console = Console::new(move |_, line| heard.send(line.to_owned()).unwrap_or_default());
        let place = Place::new(&Plan { queue, console: Some(console), ..Plan::default() });
        let trigger = if queue { "queue" } else { "http" };
        let options = place.options().set("compute.trigger", trigger);
        let executor = block_on(rustwren::Executor::connect_with(&options)).unwrap();
        let job = executor.map(printing, [7, 8]).label("prints").chunk_size(1);
        assert_eq!(block_on(job.into_future()).unwrap(), [14, 16]);
        let mut missing: Vec<String> = (0..2)
            .flat_map(|task| {
                let said = [format!("doubling {}", 7 + task), "once more".into(), "and complaining".into()];
                said.map(|text: String| format!("[prints {task}] {text}"))
            })
            .collect();
        // They may come a moment later than results.
        while !missing.is_empty() {
            let line = lines.recv().expect("the host goes on");
            missing.retain(|wanted| *wanted != line);
        }
    }
}
