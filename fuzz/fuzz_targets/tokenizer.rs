//! A `tokenizer.json`, and behind the last zero byte, if there is one, a text.

#![no_main]

use concord_fuzz::only_panics_that_escape;
use concord_model::config::ColbertConfig;
use concord_model::tokenizer::{DocTokenizer, QueryTokenizer, TokenizerFiles, WordPieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    only_panics_that_escape(|| {
        let (tokenizer, text) = match input.iter().rposition(|&byte| byte == 0) {
            Some(at) => (&input[..at], &input[at + 1..]),
            None => (
                input,
                &b"Rain, snow and 12 \xc3\xa9t\xc3\xa9s [MASK] \xe6\x97\xa5\xe6\x9c\xac"[..],
            ),
        };
        let files = TokenizerFiles {
            tokenizer: Some(tokenizer.to_vec()),
            ..TokenizerFiles::default()
        };
        let Ok(pieces) = WordPieces::new(&files) else {
            return;
        };
        let text = String::from_utf8_lossy(text);
        let config = ColbertConfig::default();
        if let Ok(documents) = DocTokenizer::new(pieces.clone(), &config) {
            if let Ok(ids) = documents.encode_one(&text) {
                assert!(ids.len() <= config.doc_maxlen);
                assert!(!ids.is_empty());
            }
            let _ = documents.kept_spans(&text);
        }
        if let Ok(queries) = QueryTokenizer::new(pieces, &config, 512)
            && let Ok(query) = queries.encode(&text)
        {
            assert_eq!(query.ids.len(), config.query_maxlen);
            assert_eq!(query.attention_mask.len(), query.ids.len());
        }
    });
});
