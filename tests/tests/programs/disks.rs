//! Storage that gives out in the middle of a job: a disk that is full, and one that lets nothing be written any more.
//! The job says so, and goes on where it was once there is room.
//!
//! Each test is a script that has a small file system of its own, in a mount namespace.

use std::process::{Command, Output};

use crate::harness::{assert_says, stderr, stdout};
use crate::kept::{PROGRAM, Scene};

/// Runs a script with a disk of 256 MB at `$DISK`, where the storage is; `$1` is the program. What it prints and does not
/// redirect is the test's to see.
fn with_disk(scene: &Scene, script: &str) -> Output {
    let disk = scene.place.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = format!("set -eu\nmount -t tmpfs -o size=256m none \"$DISK\"\n{script}");
    let environment = scene.command(0, &[]);
    let mut last = None;
    // Whoever may mount does; others may in a namespace of users in which they are root.
    for before in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let mut command = Command::new("unshare");
        command
            .args(before)
            .args(["sh", "-c", &script, "sh", PROGRAM])
            .current_dir(scene.place.path("outer/work"));
        command.env_clear();
        command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // Nobody reads what tasks would tell.
        command.env_remove("KEPT_PIPE");
        command.env("DISK", &disk).env("RUSTWREN__STORAGE__ROOT", disk.join("storage"));
        // Of util-linux: it gives a test a disk of its own.
        let output = command.output().unwrap();
        let refused = ["unshare failed", "mount:"].iter().any(|word| stderr(&output).contains(word));
        if !refused {
            assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));
            return output;
        }
        last = Some(output);
    }
    panic!("no disk can be mounted here, not even in a namespace: {last:?}");
}

fn read(scene: &Scene, name: &str) -> String {
    std::fs::read_to_string(scene.place.path("outer/work").join(name)).unwrap()
}

/// Leaves so many KiB of the disk free.
const LEAVE: &str = "
leave() { head -c $(( ($(df -k --output=avail \"$DISK\" | tail -n 1) - $1) * 1024 )) /dev/zero > \"$DISK/filler\"; }
";

/// How many results are recorded, as the error says: `; 17 of 20 results are kept`.
fn kept_by(error: &str) -> u64 {
    let before = error.split(" of 40000 results are kept").next().unwrap_or_default();
    before.split_whitespace().last().and_then(|count| count.parse().ok()).unwrap()
}

#[test]
fn the_disk_is_full_in_the_middle_of_a_job() {
    const COUNT: u64 = 40_000;
    for (how, again) in [("resume", "\"$1\" resume 40000"), ("durable", "\"$1\" attach 40000 0 \"$id\"")] {
        let scene = Scene::new();
        // The first job brings the program there, so that the second finds room for its inputs and not for all results.
        let script = format!(
            "{LEAVE}
            \"$1\" {how} 1 > /dev/null
            leave {}
            if \"$1\" {how} 40000 > first.out 2> first.err; then echo 'it ended well'; exit 1; fi
            rm \"$DISK/filler\"
            id=$(sed -n 's/^job //p' first.out)
            KEPT_RUN=1 {again} > second.out 2> second.err",
            if how == "resume" { 600 } else { 520 },
        );
        with_disk(&scene, &script);
        let error = read(&scene, "first.err");
        assert_says(&error, &["Error: ", "cannot be recorded in", "hint: ", "is full: make room there"]);
        let go_on = if how == "resume" { "run the same program again" } else { "`rustwren jobs attach " };
        assert_says(&error, &["results are kept: to go on with the rest, ", go_on]);
        assert_says(&read(&scene, "second.out"), &[&format!("ended 0 missing, done {COUNT},")]);
        let kept = kept_by(&error);
        let again = scene.marks(1).len() as u64;
        assert!(kept > 0 && again <= COUNT - kept, "{how}: {again} were run though {kept} were recorded");
    }
}

#[test]
fn the_disk_cannot_be_written_any_more_in_the_middle_of_a_job() {
    let scene = Scene::new();
    let script = "
        export KEPT_GATE=\"$PWD/gate\"
        mkfifo said
        \"$1\" gated 20 2> first.err > said &
        client=$!
        exec 3< said
        while read -r word rest <&3; do [ \"$word\" = job ] && break; done
        echo \"job $rest\"
        # The other half of the tasks waits until the disk takes no more.
        mount -o remount,ro \"$DISK\"
        touch gate
        cat <&3 > first.out
        if wait $client; then echo 'it ended well'; exit 1; fi
        mount -o remount,rw \"$DISK\"
        KEPT_RUN=1 \"$1\" attach 20 0 \"$rest\" > second.out 2> second.err";
    with_disk(&scene, script);
    let error = read(&scene, "first.err");
    assert_says(&error, &["Error: ", "cannot be recorded in", "hint: "]);
    assert_says(&error, &["ead-only"]);
    assert_says(&read(&scene, "second.out"), &["ended 0 missing, done 20,"]);
}
