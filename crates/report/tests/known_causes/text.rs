//! Reading a text from left to right by the forms that it can have.

/// What is left of a text.
#[derive(Clone)]
pub struct Text<'a> {
    whole: &'a str,
    rest: &'a str,
}

impl<'a> Text<'a> {
    pub fn new(whole: &'a str) -> Text<'a> {
        Text { whole, rest: whole }
    }

    /// Whether the text goes on with these words, which are then read.
    pub fn eat(&mut self, words: &str) -> bool {
        let rest = self.rest.strip_prefix(words);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    #[track_caller]
    pub fn must(&mut self, words: &str) {
        if !self.eat(words) {
            self.unknown(&format!("no `{words}`"));
        }
    }

    /// What stands before the next of these words, which are read as well.
    #[track_caller]
    pub fn until(&mut self, words: &str) -> &'a str {
        let Some((before, rest)) = self.rest.split_once(words) else {
            self.unknown(&format!("no `{words}`"));
        };
        self.rest = rest;
        before
    }

    pub fn goes_on_with(&self, words: &str) -> bool {
        self.rest.starts_with(words)
    }

    pub fn has(&self, words: &str) -> bool {
        self.rest.contains(words)
    }

    /// A path or an artifact.
    #[track_caller]
    pub fn quoted(&mut self) -> &'a str {
        self.must("`");
        self.until("`")
    }

    /// A count, its thousands divided.
    #[track_caller]
    pub fn count(&mut self) -> usize {
        // A comma that no digit follows is one of the sentence.
        let is_part = |(at, c): &(usize, char)| {
            let next = self.rest[at + 1..].chars().next();
            c.is_ascii_digit() || (*c == ',' && next.is_some_and(|next| next.is_ascii_digit()))
        };
        let length = self.rest.char_indices().take_while(is_part).count();
        let (digits, rest) = self.rest.split_at(length);
        let Ok(count) = digits.replace(',', "").parse() else {
            self.unknown("no count");
        };
        self.rest = rest;
        count
    }

    /// A count of things: `1 passage`, `2 passages`.
    #[track_caller]
    pub fn several(&mut self, thing: &str) -> usize {
        let count = self.count();
        self.must(&format!(" {thing}"));
        if count != 1 {
            self.must("s");
        }
        count
    }

    pub fn rest(&self) -> &'a str {
        self.rest
    }

    pub fn take_rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    #[track_caller]
    pub fn end(&self) {
        if !self.rest.is_empty() {
            self.unknown("the text goes on");
        }
    }

    /// A clause of a form that no test knows.
    #[track_caller]
    pub fn unknown(&self, why: &str) -> ! {
        panic!(
            "a clause that no test knows ({why}): `{}` in `{}`",
            self.rest, self.whole
        )
    }
}
