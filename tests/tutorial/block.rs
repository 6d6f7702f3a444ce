//! The fenced blocks of a tutorial, which are all that is run of it.

/// What a block is, by the words behind its fence.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// `sh`: commands that end well. `sh terminal N`: some that go on, in the place of what that terminal ran before.
    Commands { terminal: Option<u8> },
    /// `text`: lines that the commands before it have written; with `terminal N`, those of that terminal. `exact`: in
    /// these very numbers.
    Output { terminal: Option<u8>, exact: bool },
    /// `LANGUAGE NAME`: a file in the folder.
    File { name: String },
}

#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    /// Where it begins.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

pub(crate) fn blocks(tutorial: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in (1..).zip(tutorial.lines()) {
        match text.strip_prefix("```") {
            Some(words) if !open => {
                open = true;
                blocks.push(Block { line, kind: kind(words, line), text: String::new() });
            }
            Some(_) => open = false,
            None if open => {
                let block = blocks.last_mut().expect("an open one");
                block.text += text;
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "the last block has no end");
    blocks
}

fn kind(words: &str, line: usize) -> Kind {
    let words: Vec<_> = words.split(' ').collect();
    let number =
        |word: &str| Some(word.parse().unwrap_or_else(|_| panic!("line {line}: a number, not {word}")));
    match words[..] {
        ["sh"] => Kind::Commands { terminal: None },
        ["sh", "terminal", terminal] => Kind::Commands { terminal: number(terminal) },
        ["text"] => Kind::Output { terminal: None, exact: false },
        ["text", "exact"] => Kind::Output { terminal: None, exact: true },
        ["text", "terminal", terminal] => Kind::Output { terminal: number(terminal), exact: false },
        ["js" | "python" | "html" | "toml", name] => Kind::File { name: name.to_owned() },
        _ => panic!("line {line}: nobody runs a block of {words:?}"),
    }
}
