//! `tickwire completions`.

use std::process::ExitCode;

use clap_complete::{Shell, generate};

use super::man::print;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire completions bash > ~/.local/share/bash-completion/completions/tickwire
  tickwire completions zsh > ~/.zfunc/_tickwire
  tickwire completions fish > ~/.config/fish/completions/tickwire.fish")]
pub(super) struct Args {
    /// Whose they are to be
    shell: Shell,
}

pub(super) fn run(args: &Args, mut tickwire: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut tickwire, "tickwire", &mut script);
    print(&script)
}
