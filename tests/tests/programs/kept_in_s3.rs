//! Jobs that outlive their programs, kept in S3.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Command;

use rustix::process::{Signal, kill_process};
use rustwren_testkit::standins::Moto;

use crate::harness::{assert_exit, pid, start, stdout};
use crate::kept::{Scene, assert_complete, job_of};

/// A scene whose programs keep everything in a bucket.
struct Kept {
    scene: Scene,
    moto: Moto,
    bucket: String,
}

impl Kept {
    fn new() -> Self {
        let moto = Moto::start();
        let bucket = moto.new_bucket();
        Self { scene: Scene::new(), moto, bucket }
    }

    fn command(&self, run: u32, args: &[&str]) -> Command {
        let mut command = self.scene.command(run, args);
        command
            .env("RUSTWREN__STORAGE__BACKEND", "aws")
            .env("RUSTWREN__STORAGE__BUCKET", &self.bucket)
            .env("RUSTWREN__STORAGE__ENDPOINT", self.moto.endpoint())
            .env("RUSTWREN__COMPUTE__IMAGE", "packed")
            .envs(Moto::CREDENTIALS);
        command
    }
}

#[test]
fn a_job_goes_on_where_its_client_was_killed() {
    let mut kept = Kept::new();
    let mut client = start(&mut kept.command(0, &["durable", "200", "3000"]));
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines().map(Result::unwrap);
    let id = lines.find_map(|line| job_of(&line)).unwrap();
    kept.scene.wait_for_tasks(60);
    kill_process(pid(&client), Signal::KILL).unwrap();
    client.wait().unwrap();

    let args = ["attach", "200", "0", id.as_str()];
    assert_complete(&kept.command(1, &args).output().unwrap(), 200);
    let begun: BTreeSet<u64> = [0, 1].into_iter().flat_map(|run| kept.scene.marks(run)).collect();
    assert_eq!(begun.len(), 200);
    // Once more, and there is nothing left to be run.
    assert_complete(&kept.command(2, &args).output().unwrap(), 200);
    assert!(kept.scene.marks(2).is_empty());
}

#[test]
fn a_program_that_is_run_again_makes_only_what_is_missing() {
    let kept = Kept::new();
    assert_complete(&kept.command(0, &["resume", "50", "100"]).output().unwrap(), 50);
    assert_complete(&kept.command(1, &["resume", "80", "100"]).output().unwrap(), 80);
    let begun: BTreeSet<u64> = kept.scene.marks(1).into_iter().collect();
    assert_eq!(begun, (50..80).collect());
}

#[test]
fn a_detached_job_outlives_its_client() {
    let kept = Kept::new();
    // Its driver is a function process, which must reach S3 by itself.
    let mut command = kept.command(0, &["detach", "200", "1000"]);
    let output = command.env("RUSTWREN__COMPUTE__PASS_ENV", "AWS_*").output().unwrap();
    assert_exit(&output, 0);
    let id = job_of(stdout(&output)).unwrap();
    assert_complete(&kept.command(1, &["attach", "200", "0", id.as_str()]).output().unwrap(), 200);
    assert_eq!((kept.scene.marks(0).len(), kept.scene.marks(1)), (200, Vec::new()));
}
