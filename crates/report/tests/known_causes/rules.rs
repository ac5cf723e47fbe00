//! The rules by which a stand-in for PyTorch alters what a module gives.

use std::collections::BTreeSet;

/// What a module gives otherwise, where all of this is so.
#[derive(Clone, Debug)]
pub struct Rule {
    pub module: String,
    pub when: Vec<When>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The batch is padded to more tokens.
    Tokens(usize),
    /// The batch has more passages.
    Passages(usize),
    /// The batch has more rows, its padding among them.
    Rows(usize),
    /// More passages come before this one in its batch.
    Place(usize),
    /// This passage is another one of its batch.
    Beside(usize),
    /// The attention of the subject is `sdpa`.
    Sdpa,
    /// Each time otherwise.
    EachTime,
    /// It is this passage, which does not attend to this token.
    Hides(usize, usize),
}

/// The batch that a passage is in.
pub struct Around<'a> {
    pub pid: usize,
    pub pids: &'a [usize],
    /// The tokens that each is padded to.
    pub tokens: usize,
    pub sdpa: bool,
}

impl Rule {
    /// `bert.encoder.layer.0.attention.self@tokens>20`, with several conditions `@tokens>20&place>3`.
    pub fn of(text: &str) -> Rule {
        let (module, when) = text.split_once('@').unwrap();
        Rule {
            module: module.to_owned(),
            when: when.split('&').map(When::of).collect(),
        }
    }

    pub fn applies(&self, around: &Around<'_>) -> bool {
        self.when.iter().all(|when| when.is_so(around))
    }

    pub fn is_each_time(&self) -> bool {
        self.when.contains(&When::EachTime)
    }

    /// The token that it hides from a passage.
    pub fn hides(&self, pid: usize) -> Option<usize> {
        self.when.iter().find_map(|when| match when {
            When::Hides(hiding, token) => (*hiding == pid).then_some(*token),
            _ => None,
        })
    }
}

impl When {
    fn of(text: &str) -> When {
        let number = |text: &str| text.parse().unwrap();
        match text.split_once(['>', '=']) {
            Some(("tokens", more)) => When::Tokens(number(more)),
            Some(("passages", more)) => When::Passages(number(more)),
            Some(("rows", more)) => When::Rows(number(more)),
            Some(("place", more)) => When::Place(number(more)),
            Some(("beside", pid)) => When::Beside(number(pid)),
            Some(("hides", what)) => {
                let (pid, token) = what.split_once('.').unwrap();
                When::Hides(number(pid), number(token))
            }
            None if text == "sdpa" => When::Sdpa,
            None if text == "each-time" => When::EachTime,
            _ => panic!("{text}"),
        }
    }

    fn is_so(self, around: &Around<'_>) -> bool {
        let pids = around.pids;
        match self {
            When::Tokens(more) => around.tokens > more,
            When::Passages(more) => pids.len() > more,
            When::Rows(more) => pids.len() * around.tokens > more,
            When::Place(more) => pids.iter().position(|own| *own == around.pid) > Some(more),
            When::Beside(pid) => pid != around.pid && pids.contains(&pid),
            When::Sdpa => around.sdpa,
            When::EachTime => true,
            When::Hides(hiding, _) => around.pid == hiding,
        }
    }
}

/// Which of the rules at a module apply.
pub fn applying(rules: &[Rule], around: &Around<'_>) -> BTreeSet<usize> {
    let rules = rules.iter().enumerate();
    rules
        .filter(|(_, rule)| rule.applies(around))
        .map(|(number, _)| number)
        .collect()
}
