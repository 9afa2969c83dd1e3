//! The live view, in a pseudo-terminal as a person has it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    num::NonZero,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use ingot_house_keeper::protocol::Component;
use ingot_types::{JobKind, RetryClass};
use rustix::{
    pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags},
    termios::{tcgetattr, tcsetwinsize, LocalModes, Winsize},
};
use support::*;

/// A terminal of our own: what is written to it is what a person would see.
struct Tty {
    master: OwnedFd,
    slave: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

impl Tty {
    fn new(rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_owned();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let tty =
            Self { slave: OpenOptions::new().read(true).write(true).open(path).unwrap(), master, screen };
        tty.resize(rows, columns);
        let (mut reader, screen) = (File::from(tty.master.try_clone().unwrap()), tty.screen.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                screen.lock().unwrap().process(&bytes[..length]);
            }
        });
        tty
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
    }

    fn press(&self, keys: &str) {
        File::from(self.master.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen shows `text`.
    fn wait(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let shown = self.text();
            if shown.contains(text) {
                return shown;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no `{text}` in\n{shown}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether keys appear as they are pressed, and lines are put together: as a shell has it.
    fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        let screen = self.screen.lock().unwrap();
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
            && !screen.screen().alternate_screen()
            && !screen.screen().hide_cursor()
    }

    fn start(&self, keeper: &Keeper, args: &[&str]) -> Child {
        let end = || Stdio::from(self.slave.try_clone().unwrap());
        // A session of its own, whose terminal this is: so the kernel tells it of a new size.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_ingot"), "--parameters", "legacy100"]);
        command.args(args).current_dir(keeper.dir()).env("TERM", "xterm-256color");
        command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }
}

#[test]
fn it_draws_follows_keys_and_sizes_and_gives_the_terminal_back() {
    let mut keeper = Keeper::start();
    let generator = keeper.worker(Component::WitnessGenerator, "generator");
    let first = keeper.batch_file("1", "one.batch");
    keeper.expect(&["insert-batch", "one.batch"], 0, &[]);
    // Another chain's, which this executable cannot read and the house keeper takes all the same.
    keeper.expect(
        &["insert-batch", "one.batch", "--version", "0.77.1", "--chain", "99999999", "--number", "8"],
        0,
        &[],
    );
    let tty = Tty::new(40, 130);
    assert!(tty.is_as_before());
    let mut child = tty.start(&keeper, &["watch"]);
    tty.wait("house keeper unix:");
    tty.wait(&format!("> {first}"));
    tty.wait("witness-generator        generator on test");
    tty.wait("queued, 1 jobs: 1 queued");
    tty.wait("nothing is stuck");
    assert!(tty.wait("RAM ").contains("disk "));
    assert!(!tty.is_as_before());

    // A job fails for good: it is shown with its reason, and requeued once that is confirmed.
    let lease = take(&generator, JobKind::Witness);
    tty.wait("has ");
    lease.fail(RetryClass::Deterministic, "the dog ate it").unwrap();
    tty.wait("given up after 1 of 10 attempts: the dog ate it");
    tty.press("r");
    tty.wait("1 job has all its attempts again. Press y to do it");
    tty.press("n");
    tty.wait("nothing was done");
    tty.press("r");
    tty.wait("Press y to do it");
    tty.press("y");
    tty.wait("nothing is stuck");
    keeper.expect(&["jobs", "--state", "quarantined"], 0, &["no job matches"]);
    keeper.expect(&["audit", "--limit", "1"], 0, &["requeue", &first]);

    // Down and up again.
    tty.press("\x1b[B");
    tty.wait("> 99999999/8");
    tty.press("\x1b[A");
    tty.wait(&format!("> {first}"));

    // Any size is drawn, and a larger one shows all again.
    tty.resize(8, 30);
    thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    tty.resize(50, 140);
    tty.wait("q quit   up/down choose a batch");
    let wide = tty.wait("witness-generator        generator on test");
    let longest = wide.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest > 130, "drawn {longest} wide:\n{wide}");

    // The house keeper goes away and comes back.
    keeper.stop();
    tty.wait("DOES NOT ANSWER");
    keeper.start_again();
    let start = Instant::now();
    while tty.text().contains("DOES NOT ANSWER") {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(50));
    }

    tty.press("q");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(tty.is_as_before());
}

#[test]
fn asked_to_stop_it_gives_the_terminal_back() {
    let keeper = Keeper::start();
    let tty = Tty::new(30, 100);
    let mut child = tty.start(&keeper, &["watch"]);
    tty.wait("no batches");
    // The terminal's own interrupt is a key like any other now.
    tty.press("\x03");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(tty.is_as_before());
}

#[test]
fn without_a_terminal_or_a_house_keeper_it_says_so() {
    let keeper = Keeper::start();
    keeper.expect(&["watch"], 2, &["draws on a terminal, and this is none", "`status`"]);
    let tty = Tty::new(30, 100);
    let mut child = tty.start(&keeper, &["--json", "watch"]);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    drop(keeper);
    let nobody = Keeper::none();
    let tty = Tty::new(30, 100);
    let mut child = tty.start(&nobody, &["watch"]);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    tty.wait("no house keeper at unix:");
    assert!(tty.is_as_before());
}

/// On a terminal, a deletion asks.
#[test]
fn deleting_asks_on_a_terminal() {
    let keeper = Keeper::start();
    let batch = keeper.batch_file("1", "one.batch");
    keeper.expect(&["insert-batch", "one.batch"], 0, &[]);
    for (answer, code) in [("no\n", 2), ("yes\n", 0)] {
        let tty = Tty::new(30, 150);
        let mut child = tty.start(&keeper, &["delete", "batch", &batch]);
        tty.wait("1 jobs forgotten if you go on; type `yes` to delete:");
        tty.press(answer);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        tty.wait(if code == 0 { "delete" } else { "was not deleted" });
    }
    keeper.expect(&["status", &batch], 2, &["there is no batch"]);
}
