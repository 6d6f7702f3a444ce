//! `tickwire token`.

mod keys;
mod mint;
mod read;

use std::process::ExitCode;

use clap::Subcommand;

/// What is to be done with tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire token key --out keys
  tickwire serve --auth-public-key-file keys/token-key.pub.pem
  tickwire token mint --key keys/token-key.pem --subject anna --entitlement '{\"symbols\":[\"*\"],\"channels\":[\"quote\"]}'
  tickwire token mint --key keys/token-key.pem --subject olga --entitlement '{\"symbols\":[],\"channels\":[],\"admin\":true}'
  tickwire token read --auth-public-key-file keys/token-key.pub.pem < token
  tickwire token api-key dashboard --role trader --file api-keys.toml

Secrets are read from files and standard input, never from the command line, which every user of a machine can see.")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token, signed with HS256 or EdDSA
    Mint(mint::Args),
    /// Show what a token from standard input says, and whether `serve` with these settings would take it, or why not
    Read(read::Args),
    /// Make a key to sign tokens with
    Key(keys::KeyArgs),
    /// Make an API key, shown once, and the line for the file of API keys, which holds its hash alone
    ApiKey(keys::ApiKeyArgs),
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Mint(args) => mint::run(args),
        Action::Read(args) => read::run(args),
        Action::Key(args) => keys::make_key(args),
        Action::ApiKey(args) => keys::make_api_key(args),
    }
}
