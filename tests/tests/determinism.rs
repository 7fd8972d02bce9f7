//! What a simulated node runs takes time, chance and threads from its caller: asserted from the sources, in all code that is
//! not for tests, wherever it stands in a file.
//!
//! A name is looked for outside of comments and strings. What `#[cfg(test)]` is on, is left out, the rest of the file is not:
//!
//! ```text
//! #[cfg(test)]
//! use std::thread::sleep;      <- left out
//! fn f() { sleep(second) }     <- found
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, LineColumn, Span, TokenStream, TokenTree};

/// Sources that a simulated node runs.
const SIMULATED: &[&str] =
    &["grammar/src", "parser/src", "storage/src", "cluster/src", "server/src"];

/// Parts of them that it does not run: sockets, the command line, the process.
const OUTSIDE: &[&str] = &[
    "server/src/admin",
    "server/src/commands",
    "server/src/connection",
    "server/src/console.rs",
    "server/src/main.rs",
    "server/src/peers",
    "server/src/serve.rs",
    // When to refuse what comes in by sockets.
    "server/src/load.rs",
];

/// Something that is the caller's to give, the names that it goes by, and the files that have it all the same.
struct Rule {
    what: &'static str,
    names: &'static [&'static str],
    /// Each with the reason.
    except: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        what: "a clock",
        names: &["Instant::now", "SystemTime::now", "elapsed()"],
        except: &[("server/src/clock.rs", "the one place where time comes from")],
    },
    Rule {
        what: "a thread, or a wait",
        names: &[
            "thread::spawn",
            "thread::scope",
            "thread::sleep",
            "thread::park",
            "thread::Builder",
            "tokio::spawn",
            "spawn_blocking",
            "spawn_local",
            "yield_now",
        ],
        except: &[
            ("server/src/clock.rs", "raises the ceiling, unless the caller does"),
            ("storage/src/commitlog/mod.rs", "SyncDriver::Thread"),
            ("storage/src/commitlog/shared.rs", "SyncDriver::Thread: the next file"),
            ("storage/src/engine/background.rs", "BackgroundDriver::Threads"),
            ("storage/src/engine/compact.rs", "BackgroundDriver::Threads: the pace"),
            ("storage/src/engine/replay/workers.rs", "more than one replay thread"),
        ],
    },
    Rule {
        what: "chance",
        names: &["new_v4", "now_v7", "now_v1", "thread_rng", "rand::", "getrandom", "OsRng"],
        except: &[("server/src/node/open.rs", "SystemRandom, which is given to a node")],
    },
    Rule {
        what: "a map in an order of chance",
        names: &["HashMap", "HashSet", "RandomState"],
        except: &[],
    },
    Rule {
        what: "state that nodes share",
        names: &["thread_local!", "static mut"],
        except: &[
            ("storage/src/fs/nowait.rs", "says of a thread whether it may wait"),
            ("storage/src/planted.rs", "rules broken on purpose, in tests alone"),
        ],
    },
];

/// Types with which a `static` is state that nodes share.
const MUTABLE: &[&str] =
    &["Mutex", "RwLock", "Atomic", "Cell<", "DashMap", "Semaphore", "LazyLock", "OnceLock"];

/// The same text, with everything but code made blank: comments, strings and numbers, and what is for tests.
fn code_of(text: &str) -> String {
    let tokens: TokenStream = text.parse().expect("Rust");
    let blank = |line: &str| line.chars().map(|_| ' ').collect();
    let mut code = Code {
        of: text.lines().map(|line| line.chars().collect()).collect(),
        lines: text.lines().map(blank).collect(),
    };
    code.show(tokens);
    let lines: Vec<String> = code.lines.into_iter().map(String::from_iter).collect();
    lines.join("\n")
}

/// A text, and what of it is shown so far.
struct Code {
    of: Vec<Vec<char>>,
    lines: Vec<Vec<char>>,
}

impl Code {
    fn show(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#') {
                if self.at(token.span().start()) == '/' {
                    // A comment for the documentation, which is an attribute of that text.
                    tokens.find(|token| matches!(token, TokenTree::Group(_)));
                    continue;
                }
                if tokens.peek().is_some_and(is_for_tests) {
                    // Up to the end of the block or statement that follows.
                    tokens.by_ref().skip(1).find(ends_item);
                    continue;
                }
            }
            match token {
                TokenTree::Group(group) => {
                    self.show_at(group.span_open());
                    self.show(group.stream());
                    self.show_at(group.span_close());
                }
                TokenTree::Ident(ident) => self.show_at(ident.span()),
                TokenTree::Punct(punct) => self.show_at(punct.span()),
                TokenTree::Literal(_) => {}
            }
        }
    }

    fn at(&self, place: LineColumn) -> char {
        self.of[place.line - 1][place.column]
    }

    /// Of what stands on one line.
    fn show_at(&mut self, span: Span) {
        let (line, columns) = (span.start().line - 1, span.start().column..span.end().column);
        self.lines[line][columns.clone()].copy_from_slice(&self.of[line][columns]);
    }
}

/// The rest of `#[cfg(test)]`.
fn is_for_tests(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => matches!(punct.as_char(), ';' | ','),
        _ => false,
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a member").to_path_buf()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable directory") {
        let path = entry.expect("readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_for_tests = matches!(name, "tests" | "tests.rs" | "testing.rs" | "fuzz.rs")
            || name.ends_with("_tests.rs");
        if path.is_dir() && !is_for_tests {
            sources(&path, found);
        } else if name.ends_with(".rs") && !is_for_tests {
            found.push(path);
        }
    }
}

fn each_source(mut check: impl FnMut(&str, &str)) {
    let root = root();
    for crate_sources in SIMULATED {
        let mut files = Vec::new();
        sources(&root.join(crate_sources), &mut files);
        assert!(files.len() > 5, "{crate_sources} has no sources");
        for file in files {
            let text = fs::read_to_string(&file).expect("readable source");
            let name = file.strip_prefix(&root).expect("below the root").to_string_lossy();
            if !OUTSIDE.iter().any(|outside| name.starts_with(outside)) {
                check(&name, &code_of(&text));
            }
        }
    }
}

/// Lines of a file's code that name one of these, as whole words.
fn lines_with<'a>(code: &'a str, names: &[&str]) -> Vec<(usize, &'a str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let names_it = |line: &str, name: &str| {
        line.match_indices(name).any(|(at, _)| {
            let inside = name.ends_with(is_word) && line[at + name.len()..].starts_with(is_word);
            !(inside || name.starts_with(is_word) && line[..at].ends_with(is_word))
        })
    };
    let lines = code.lines().enumerate().map(|(i, line)| (i + 1, line));
    lines.filter(|(_, line)| names.iter().any(|name| names_it(line, name))).collect()
}

#[test]
fn a_simulated_node_is_given_time_threads_and_chance() {
    for rule in RULES {
        let mut wrong = Vec::new();
        let mut unused: Vec<&str> = rule.except.iter().map(|(file, _)| *file).collect();
        each_source(|file, code| {
            let lines = lines_with(code, rule.names);
            if !lines.is_empty() && rule.except.iter().any(|(except, _)| *except == file) {
                unused.retain(|except| *except != file);
                return;
            }
            let line = |(number, line): (usize, &str)| format!("{file}:{number}: {}", line.trim());
            wrong.extend(lines.into_iter().map(line));
        });
        assert!(wrong.is_empty(), "{} of its own:\n{}", rule.what, wrong.join("\n"));
        assert!(unused.is_empty(), "no {} there (any more): {unused:?}", rule.what);
    }
}

#[test]
fn nodes_share_no_state() {
    let mut wrong = Vec::new();
    let except = RULES.last().expect("there are rules").except;
    each_source(|file, code| {
        if except.iter().any(|(except, _)| *except == file) {
            return;
        }
        for (number, line) in code.lines().enumerate() {
            let line = line.trim_start();
            let line =
                line.strip_prefix("pub ").or(line.strip_prefix("pub(crate) ")).unwrap_or(line);
            let is_shared =
                line.starts_with("static ") && MUTABLE.iter().any(|mutable| line.contains(mutable));
            if is_shared {
                wrong.push(format!("{file}:{}: {line}", number + 1));
            }
        }
    });
    assert!(wrong.is_empty(), "statics that can change:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_for_tests_is_left_out_and_nothing_else() {
    let text = "use a; // Instant::now\n#[cfg(test)]\nuse std::b;\nfn f() { '\"'; \"}\"; r#\"}\"#; }\n\
                #[cfg(test)]\nmod tests { fn g() { '{'; } }\nfn h() { Instant::now }\n\
                struct S {\n#[cfg(test)]\nx: HashMap,\ny: HashMap }\n";
    let code = code_of(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for gone in ["std::b", "mod tests", "fn g", "x:", "}\"", "// "] {
        assert!(!code.contains(gone), "{gone}: {code}");
    }
    for stays in ["use a;", "fn f() {", "fn h() {", "y: HashMap }"] {
        assert!(code.contains(stays), "{stays}: {code}");
    }
    let found = |names: &[&str]| lines_with(&code, names).into_iter().map(|line| line.0).collect();
    let lines: Vec<Vec<usize>> = vec![
        found(&["Instant::now"]),
        found(&["HashMap"]),
        found(&["Hash"]),
        found(&["stant::now"]),
    ];
    assert_eq!(lines, [vec![7], vec![11], vec![], vec![]]);
}
