//! The real program, as it is typed.

use std::process::{Command, Stdio};
use std::time::Duration;

/// How long anything may take before a test fails. Only failures wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `tickwire` with no settings but those of the command line: what tests or a developer have set in the environment,
/// or in a file of the checkout, would be unknown keys, or change what runs.
pub(crate) fn tickwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TICKWIRE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command
}
