//! Commands that end by themselves.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use super::program::PATIENCE;

/// Runs a command to its end.
///
/// # Panics
/// When that takes longer than [`PATIENCE`], as it does when something serves that should have been refused.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is built");
    let pid = child.id().to_string();
    let (sender, output) = mpsc::sync_channel(1);
    let waiter = std::thread::spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = sender.send(child.wait_with_output());
    });
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
        let _ = waiter.join();
        panic!("it does not end: {command:?}");
    };
    output.expect("pipes can be read")
}
