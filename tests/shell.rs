//! What shells and `man` are given.

mod service {
    pub(crate) mod program;
    pub(crate) mod run;
}

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use service::program::tickwire;
use service::run::run;

const COMMANDS: [&str; 14] = [
    "serve",
    "record",
    "inspect",
    "export",
    "watch",
    "load",
    "lint",
    "tap",
    "replay-capture",
    "dev-cert",
    "token",
    "check-config",
    "completions",
    "man",
];

fn printed(arguments: &[&str]) -> String {
    let output = run(tickwire().args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let script = printed(&["completions", "bash"]);
    let complete = |words: &[&str]| -> BTreeSet<String> {
        let ask = format!(
            "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_tickwire tickwire {} ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1,
            words.last().map(|word| format!("'{word}'")).expect("words"),
        );
        let mut bash = Command::new("bash")
            .args(["--norc", "--noprofile"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash, which `make` needs too");
        bash.stdin.take().expect("a pipe").write_all(ask.as_bytes()).expect("it reads");
        let output = bash.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).expect("UTF-8").split_whitespace().map(str::to_owned).collect()
    };
    let commands = complete(&["tickwire", ""]);
    for command in COMMANDS {
        assert!(commands.contains(command), "{command}: {commands:?}");
    }
    assert_eq!(complete(&["tickwire", "chec"]), BTreeSet::from(["check-config".to_owned()]));
    assert_eq!(complete(&["tickwire", "serve", "--sim-fa"]), BTreeSet::from(["--sim-faults".to_owned()]));
    assert!(complete(&["tickwire", "token", ""]).contains("mint"));
    assert!(complete(&["tickwire", "completions", ""]).contains("fish"));
}

#[test]
fn other_shells_are_told_all_commands_too() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let output = run(tickwire().args(["completions", "tcsh"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bash"), "{output:?}");
}

#[test]
fn each_command_has_a_page_with_all_its_flags() {
    let page = printed(&["man"]);
    let version = env!("CARGO_PKG_VERSION");
    assert!(page.contains(&format!(".TH tickwire 1  \"tickwire {version}\" Tickwire\n")), "{page}");
    for command in COMMANDS {
        assert!(
            page.contains(&format!("tickwire\\-{}(1)", command.replace('-', "\\-"))),
            "{command}: {page}"
        );
        let page = printed(&["man", command]);
        assert!(page.contains(&format!(".TH tickwire-{command} 1")), "{page}");
        let help = printed(&[command, "--help"]);
        let flags = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        let mut count = 0;
        for flag in flags {
            let end = flag[2..].find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
            let name = end.map_or(flag, |end| &flag[..end + 2]).replace('-', "\\-");
            assert!(page.contains(&name), "{command}: {name}");
            count += 1;
        }
        assert!(count > 0, "{help}");
    }
    assert!(printed(&["man", "token", "mint"]).contains(".TH tickwire-token-mint 1"));
    let output = run(tickwire().args(["man", "token", "coin"]));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("there is no command `token coin`"), "{told}");
}
