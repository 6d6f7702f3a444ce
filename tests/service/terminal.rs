//! A terminal that a program runs in, and what it shows.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::eventually::eventually;

/// A program in a terminal of its own, with which it ends.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    /// The end that a person would sit at.
    master: File,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program in a terminal of so many columns and rows. That it is the program's controlling terminal, as that of a
    /// shell is, needs `setsid`, of util-linux.
    pub(crate) fn start(program: &Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("our terminal");
        unlockpt(&master).expect("our terminal");
        tcsetwinsize(&master, window(columns, rows)).expect("a size");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let open = || rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());

        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        command
            .stdin(open().expect("a terminal"))
            .stdout(open().expect("a terminal"))
            .stderr(open().expect("a terminal"));
        let child = command.spawn().expect("setsid, and the program is built");
        // It has our ends of the terminal too, which would keep it from ending.
        drop(command);

        let master = File::from(master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size(rows), size(columns), 0)));
        let reader = {
            let (mut output, screen) = (master.try_clone().expect("a file"), Arc::clone(&screen));
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // It fails when nobody has the other end any more.
                while let Ok(count @ 1..) = output.read(&mut buffer) {
                    screen.lock().expect("not poisoned").process(&buffer[..count]);
                }
            })
        };
        Self { child, master, screen, reader: Some(reader) }
    }

    /// What it shows, line by line.
    pub(crate) fn text(&self) -> String {
        self.look(vt100::Screen::contents)
    }

    /// The line that has a word in it; empty without one.
    pub(crate) fn line(&self, word: &str) -> String {
        self.text().lines().find(|line| line.contains(word)).unwrap_or_default().to_owned()
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&vt100::Screen) -> T) -> T {
        at(self.screen.lock().expect("not poisoned").screen())
    }

    /// Waits until it shows a text.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(text, |shown| shown.contains(text));
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(what, || holds(&self.text()));
        }));
        assert!(shown.is_ok(), "still not so: {what}\n{}", self.text());
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Somebody pulls at its corner.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().expect("not poisoned").screen_mut().set_size(size(rows), size(columns));
        tcsetwinsize(&self.master, window(columns, rows)).expect("a size");
    }

    /// How the program ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        // What it wrote last is to be seen.
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no panic");
        }
        status.expect("it has ended")
    }

    /// Whether a shell could go on in it: the lines of before, a cursor, and what is typed shown and read by lines.
    pub(crate) fn is_given_back(&self) -> bool {
        let modes = tcgetattr(&self.master).expect("a terminal").local_modes;
        self.look(|screen| !screen.alternate_screen() && !screen.hide_cursor())
            && modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn window(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("a screen")
}
