//! Filters: what is read of them, and which passages they find.

#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use concord_index::filter::{
    Comparison, Condition, Expression, FilterError, Literal, MAX_DEPTH, MAX_EXPRESSION, MAX_LIST,
    Misread, parse, select,
};
use concord_index::passages::{Kind, PassageDb, PassageRecord, PassageTable};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

fn is(field: &str, condition: Condition) -> Expression {
    Expression::Is {
        field: field.to_owned(),
        condition,
    }
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

fn table(objects: &[Option<String>]) -> PassageTable {
    let record = |(pid, object): (usize, &Option<String>)| PassageRecord {
        id: format!("p{pid}"),
        text: None,
        deleted: false,
        metadata: object.as_deref().map(Into::into),
    };
    PassageTable::new(true, objects.iter().enumerate().map(record).collect())
}

/// The database of these objects.
fn database(objects: &[Option<String>]) -> PassageDb {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passages.db");
    PassageDb::write(&path, &table(objects)).unwrap();
    PassageDb::of_bytes(&path, &std::fs::read(&path).unwrap()).unwrap()
}

fn found(db: &PassageDb, filter: &str) -> Result<Vec<u32>, FilterError> {
    let set = select(db, &parse(filter)?)?;
    let found: Vec<u32> = (0..db.passages() as u32)
        .filter(|pid| set.contains(*pid))
        .collect();
    assert_eq!(found.len(), set.len());
    Ok(found)
}

#[test]
fn expressions_are_read_as_they_are_in_sql() {
    use Comparison::{Greater, GreaterOrEqual, Less, NotEqual};
    let compare = |field: &str, how, value| is(field, Condition::Compare(how, value));
    let not = |part| Expression::Not(Box::new(part));
    let a = || compare("a", Greater, Literal::Integer(1));
    let b = || compare("b", Less, text("it's"));
    for (filter, expected) in [
        ("a > 1", a()),
        ("  1<a ", a()),
        ("(a>+1)", a()),
        ("a > 1 AND b < 'it''s'", Expression::And(vec![a(), b()])),
        (
            "a > 1 or b < 'it''s' AnD a > 1",
            Expression::Or(vec![a(), Expression::And(vec![b(), a()])]),
        ),
        (
            "NOT a > 1 AND b < 'it''s'",
            Expression::And(vec![not(a()), b()]),
        ),
        (
            "NOT (a > 1 AND b < 'it''s')",
            not(Expression::And(vec![a(), b()])),
        ),
        (
            "\"or\" <> -2.5e-3",
            compare("or", NotEqual, Literal::Real(-0.0025)),
        ),
        (
            "\"a\"\"b c\" >= .5",
            compare("a\"b c", GreaterOrEqual, Literal::Real(0.5)),
        ),
        (
            "größe2 != 99999999999999999999",
            compare("größe2", NotEqual, Literal::Real(1e20)),
        ),
        ("x IS NOT NULL", not(is("x", Condition::IsNull))),
        (
            "x not in (1, 2)",
            not(is(
                "x",
                Condition::In(vec![Literal::Integer(1), Literal::Integer(2)]),
            )),
        ),
        (
            "x BETWEEN 1 AND 2.0 AND a > 1",
            Expression::And(vec![
                is(
                    "x",
                    Condition::Between(Literal::Integer(1), Literal::Real(2.0)),
                ),
                a(),
            ]),
        ),
        (
            "x LIKE '50\\%'",
            is("x", Condition::Like("50\\%".to_owned())),
        ),
        (
            "x = TRUE",
            compare("x", Comparison::Equal, Literal::Boolean(true)),
        ),
        ("x = '\0--'", compare("x", Comparison::Equal, text("\0--"))),
    ] {
        assert_eq!(parse(filter), Ok(expected), "{filter}");
    }
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    for (filter, at, said) in [
        ("", 1, "it is empty"),
        (" \n", 1, "it is empty"),
        (
            "a",
            2,
            "a comparison, IN, BETWEEN, LIKE or IS is expected, and there is the end",
        ),
        (
            "a >",
            4,
            "a number, a text in single quotes, TRUE or FALSE is expected",
        ),
        (
            "a > 1 b",
            7,
            "AND, OR or the end is expected, and there is the field \"b\"",
        ),
        ("a = 'x", 5, "the quote is not closed"),
        ("\"a = 1", 1, "the quote is not closed"),
        ("a = 1; DROP TABLE passages", 6, "unexpected ';'"),
        ("a = 1 -- x", 7, "unexpected '-'"),
        ("a = 1 /* x */", 7, "unexpected '/'"),
        ("a == 1", 4, "and there is ="),
        ("a = 12x", 5, "\"12x\" is no number"),
        ("a = 1.2.3", 5, "is no number"),
        ("a = 1e999", 5, "is no number"),
        ("a = b", 5, "and there is the field \"b\""),
        ("a = NULL", 5, "write IS NULL"),
        (
            "(a = 1",
            7,
            "AND, OR or ) is expected, and there is the end",
        ),
        ("a = 1)", 6, "and there is )"),
        ("a IN ()", 7, "and there is )"),
        ("a IN (1, 'x')", 10, "these are a number and a string"),
        ("a BETWEEN 1 OR 2", 13, "AND is expected"),
        ("a NOT = 1", 7, "IN, BETWEEN or LIKE is expected"),
        ("a IS 1", 6, "NULL or NOT NULL is expected"),
        ("a LIKE 5", 8, "a text in single quotes"),
        ("é = 'é' AND ?", 13, "unexpected '?'"),
        ("a = 1 \0", 7, "unexpected '\\0'"),
        ("[a] = 1", 1, "unexpected '['"),
        ("`a` = 1", 1, "unexpected '`'"),
    ] {
        let error = parse(filter).unwrap_err();
        assert_eq!(error.at, at, "{filter}: {error}");
        assert!(error.to_string().contains(said), "{filter}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn what_is_nested_or_listed_without_end_is_refused() {
    let nested = |depth: usize| format!("{}a = 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    for deep in [
        nested(MAX_DEPTH + 1),
        nested(30_000),
        "NOT ".repeat(16_000) + "a = 1",
        "(".repeat(60_000),
    ] {
        assert_eq!(parse(&deep).unwrap_err().what, Misread::Deep);
    }
    let list = |values: usize| format!("a IN ({}1)", "1,".repeat(values - 1));
    assert!(parse(&list(MAX_LIST)).is_ok());
    assert_eq!(parse(&list(MAX_LIST + 1)).unwrap_err().what, Misread::List);
    let long = format!("a = '{}'", "x".repeat(MAX_EXPRESSION));
    assert!(matches!(parse(&long).unwrap_err().what, Misread::Long(_)));
    // Many behind each other are no deeper than one.
    let chain = vec!["a = 1"; 7000].join(" OR ");
    assert!(matches!(parse(&chain), Ok(Expression::Or(parts)) if parts.len() == 7000));
}

#[test]
fn conditions_find_passages_as_they_do_in_sql() {
    let objects = [
        json!({"year": 2019, "lang": "en", "open": true}),
        json!({"year": 2021.5, "lang": "de"}),
        json!({"year": 2022, "lang": "EN", "open": false}),
        json!({"year": "2022", "lang": null, "tags": ["a"]}),
        json!({"x y": 1, "lang": "e\u{0}n", "tags": {}}),
    ];
    let objects: Vec<Option<String>> = objects
        .iter()
        .map(|o| Some(o.to_string()))
        .chain([None])
        .collect();
    let db = database(&objects);
    for (filter, expected) in [
        ("year > 2020", &[1, 2][..]),
        ("year > 2020 AND lang = 'en'", &[]),
        ("year >= 2019 AND (lang = 'en' OR lang = 'EN')", &[0, 2]),
        ("year = 2022.0", &[2]),
        ("year = '2022'", &[3]),
        // Of a value of another kind nothing is known.
        ("year != 2022", &[0, 1]),
        ("NOT year = 2022", &[0, 1]),
        ("year != '2021'", &[3]),
        ("year BETWEEN 2019 AND 2021.5", &[0, 1]),
        ("year NOT BETWEEN 2019 AND 2021.5", &[2]),
        ("year BETWEEN 3 AND 2", &[]),
        ("year IN (2019, 2022)", &[0, 2]),
        ("year NOT IN (2019, 2022)", &[1]),
        ("year IS NULL", &[4, 5]),
        ("year IS NOT NULL AND NOT year > 2020", &[0]),
        ("lang IS NULL", &[3, 5]),
        ("lang LIKE 'e%'", &[0, 4]),
        ("lang LIKE 'e_n'", &[4]),
        ("lang NOT LIKE '%n'", &[1, 2]),
        ("lang = 'e\0n'", &[4]),
        ("lang < 'a'", &[2]),
        ("open = TRUE", &[0]),
        ("open != TRUE", &[2]),
        ("open IN (TRUE, FALSE)", &[0, 2]),
        ("tags IS NOT NULL", &[3, 4]),
        ("\"x y\" = 1", &[4]),
        // Unknown or true is true, unknown and false is false.
        ("open = TRUE OR year > 2020", &[0, 1, 2]),
        ("NOT (open = TRUE AND year > 2020)", &[0, 2]),
        ("NOT (open = FALSE OR year > 2020)", &[0]),
    ] {
        assert_eq!(found(&db, filter).unwrap(), expected, "{filter}");
    }
    for (filter, said) in [
        (
            "yaer > 2020",
            "no field `yaer`; this index has lang, open, tags, x y, year (did you mean `year`?)",
        ),
        ("YEAR > 2020", "(did you mean `year`?)"),
        (
            "quite = 1",
            "no field `quite`; this index has lang, open, tags, x y, year",
        ),
        (
            "lang > 5",
            "the field `lang` is a string, and 5 is a number",
        ),
        (
            "year = TRUE",
            "the field `year` is a number and string, and TRUE is a boolean",
        ),
        (
            "\"x y\" LIKE '1%'",
            "the field `x y` is a number, and '1%' is a string",
        ),
        (
            "open > TRUE",
            "TRUE and FALSE are compared by =, != and IN alone",
        ),
        ("tags = 'a'", "`tags` is a list or object"),
        ("year > 2020 OR NOT nothing IS NULL", "no field `nothing`"),
        ("\"lang' OR 1=1 --\" = 'x'", "no field `lang' OR 1=1 --`"),
        ("\"a\nb\0\" = 1", "no field `a\\nb\\0`"),
    ] {
        let error = found(&db, filter).unwrap_err().to_string();
        assert!(error.contains(said), "{filter}: {error}");
        assert!(!error.contains('\n'));
    }
    // Nothing of these is more than a text that no passage has.
    for attempt in [
        "'; DROP TABLE passages; --",
        "' OR '1'='1",
        "\" OR 1=1",
        "%' ESCAPE '",
        "\u{202e}x",
    ] {
        let quoted = attempt.replace('\'', "''");
        for filter in [
            format!("lang = '{quoted}'"),
            format!("lang IN ('{quoted}')"),
            format!("lang LIKE '{quoted}'"),
        ] {
            assert_eq!(found(&db, &filter).unwrap(), &[] as &[u32], "{filter}");
        }
    }
    assert_eq!(db.table().unwrap(), table(&objects));
    let none = database(&[None, None]);
    let error = found(&none, "year > 1").unwrap_err().to_string();
    assert_eq!(error, "no field `year`; the index has no metadata");
    assert_eq!(none.metadata(0).unwrap(), None);
}

/// What a condition is of a value: unknown, or not.
fn plainly(expression: &Expression, object: &Map<String, Json>) -> Option<bool> {
    match expression {
        Expression::And(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| plainly(part, object)).collect();
            match () {
                () if parts.contains(&Some(false)) => Some(false),
                () if parts.contains(&None) => None,
                () => Some(true),
            }
        }
        Expression::Or(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| plainly(part, object)).collect();
            match () {
                () if parts.contains(&Some(true)) => Some(true),
                () if parts.contains(&None) => None,
                () => Some(false),
            }
        }
        Expression::Not(part) => plainly(part, object).map(|known| !known),
        Expression::Is { field, condition } => {
            let value = object.get(field).filter(|value| !value.is_null());
            let order = |literal: &Literal| compared(value?, literal);
            match condition {
                Condition::IsNull => Some(value.is_none()),
                Condition::Compare(how, literal) => order(literal).map(|order| match how {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                }),
                Condition::Between(low, high) => Some(order(low)?.is_ge() && order(high)?.is_le()),
                Condition::In(values) => {
                    let orders: Option<Vec<_>> = values.iter().map(order).collect();
                    Some(orders?.iter().any(|order| order.is_eq()))
                }
                Condition::Like(pattern) => {
                    let text = value?.as_str()?;
                    // Without wildcards but at the ends, which is what is drawn here.
                    let inner = pattern.trim_matches('%');
                    Some(match (pattern.starts_with('%'), pattern.ends_with('%')) {
                        (true, true) => text.contains(inner),
                        (true, false) => text.ends_with(inner),
                        (false, true) => text.starts_with(inner),
                        (false, false) => text == inner,
                    })
                }
            }
        }
    }
}

/// How a value lies to one of its kind. The numbers here are all exact as `f64`.
fn compared(value: &Json, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::Boolean(other) => Some(value.as_bool()?.cmp(other)),
        Literal::Integer(other) => value.as_f64()?.partial_cmp(&(*other as f64)),
        Literal::Real(other) => value.as_f64()?.partial_cmp(other),
        Literal::Text(other) => Some(value.as_str()?.as_bytes().cmp(other.as_bytes())),
    }
}

const FIELDS: [&str; 5] = ["a", "b", "c d", "é", "in"];

fn values() -> impl Strategy<Value = Json> {
    prop_oneof![
        (-3i64..4).prop_map(Json::from),
        (-6i64..8).prop_map(|half| json!(half as f64 / 2.0)),
        any::<bool>().prop_map(Json::from),
        "[abé'%]{0,2}".prop_map(Json::from),
        Just(json!(null)),
        Just(json!([1, "x"])),
    ]
}

fn literals() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (-3i64..4).prop_map(Literal::Integer),
        (-6i64..8).prop_map(|half| Literal::Real(half as f64 / 2.0)),
        "[abé'\"%]{0,2}".prop_map(Literal::Text),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let how = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
    ];
    let numbers = || {
        prop_oneof![
            (-3i64..4).prop_map(Literal::Integer),
            (-6i64..8).prop_map(|h| Literal::Real(h as f64 / 2.0))
        ]
    };
    let texts = || "[abé']{0,2}".prop_map(Literal::Text);
    prop_oneof![
        4 => (how, literals()).prop_map(|(how, value)| Condition::Compare(how, value)),
        1 => any::<(bool, bool)>().prop_map(|(equal, value)| Condition::Compare(
            if equal { Comparison::Equal } else { Comparison::NotEqual },
            Literal::Boolean(value)
        )),
        1 => (numbers(), numbers()).prop_map(|(low, high)| Condition::Between(low, high)),
        1 => (texts(), texts()).prop_map(|(low, high)| Condition::Between(low, high)),
        1 => prop::collection::vec(numbers(), 1..4).prop_map(Condition::In),
        1 => prop::collection::vec(texts(), 1..4).prop_map(Condition::In),
        1 => "%?[abé]{0,1}%?".prop_map(Condition::Like),
        1 => Just(Condition::IsNull),
    ]
}

fn expressions() -> impl Strategy<Value = Expression> {
    let leaf = (prop::sample::select(&FIELDS[..]), conditions())
        .prop_map(|(field, condition)| is(field, condition));
    leaf.prop_recursive(5, 24, 4, |part| {
        prop_oneof![
            prop::collection::vec(part.clone(), 2..4).prop_map(Expression::And),
            prop::collection::vec(part.clone(), 2..4).prop_map(Expression::Or),
            part.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_is_read_as_it_was(expression in expressions()) {
        prop_assert_eq!(parse(&expression.to_string()).unwrap(), expression);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[ab'\"()<=>!., 0-9eNOTANDORLIKEIS\\x00-]{0,40}") {
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()).unwrap(), expression);
        }
    }

    #[test]
    fn passages_are_those_that_a_plain_model_finds(
        rows in prop::collection::vec(prop::collection::btree_map(prop::sample::select(&FIELDS[..]), values(), 0..5), 1..30),
        expressions in prop::collection::vec(expressions(), 8),
    ) {
        // Every field has values of every kind, so that each may be compared with each.
        let mut rows: Vec<Map<String, Json>> = rows
            .into_iter()
            .map(|row| row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            .collect();
        for value in [json!(1), json!("x"), json!(true)] {
            rows.push(FIELDS.iter().map(|name| ((*name).to_owned(), value.clone())).collect());
        }
        let objects: Vec<Option<String>> = rows
            .iter()
            .map(|row| (!row.is_empty()).then(|| Json::from(row.clone()).to_string()))
            .collect();
        let db = database(&objects);
        for expression in expressions {
            let expected: Vec<u32> = (0..rows.len() as u32)
                .filter(|pid| plainly(&expression, &rows[*pid as usize]) == Some(true))
                .collect();
            prop_assert_eq!(found(&db, &expression.to_string()).unwrap(), expected, "{}", expression);
        }
    }
}

#[test]
fn deleted_passages_have_no_metadata_and_the_same_table_has_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let object = |pid: usize| {
        (!pid.is_multiple_of(7)).then(|| json!({"n": pid, "even": pid.is_multiple_of(2), "s": format!("{}", pid * 7919 % 1000)}).to_string())
    };
    let all: Vec<Option<String>> = (0..3000).map(object).collect();
    let record = |pid: usize| PassageRecord {
        id: format!("p{pid}"),
        text: None,
        deleted: false,
        metadata: all[pid].as_deref().map(Into::into),
    };
    let part = |range: std::ops::Range<usize>| PassageTable::new(true, range.map(record).collect());
    let mut pieces = part(0..300);
    for piece in 1..10 {
        pieces
            .append(
                &part(piece * 300..(piece + 1) * 300),
                concord_index::passages::Known::Refused,
            )
            .unwrap();
    }
    let mut once = part(0..3000);
    assert_eq!((&pieces, pieces.hash()), (&once, once.hash()));
    for table in [&mut pieces, &mut once] {
        table.delete(["p8", "p2999"]).unwrap();
        assert_eq!(table.passages()[8].metadata, None);
    }
    PassageDb::write(&path("a"), &pieces).unwrap();
    PassageDb::write(&path("b"), &once).unwrap();
    assert_eq!(
        std::fs::read(path("a")).unwrap(),
        std::fs::read(path("b")).unwrap()
    );
    let db = PassageDb::open(&path("a")).unwrap();
    assert_eq!(db.table().unwrap(), once);
    assert_eq!(db.metadata(9).unwrap().as_deref(), all[9].as_deref());
    assert_eq!(
        (db.metadata(8).unwrap(), db.metadata(7).unwrap()),
        (None, None)
    );
    let kinds: Vec<_> = db
        .fields()
        .iter()
        .map(|field| (field.name.as_str(), field.kinds.clone()))
        .collect();
    // Of 3,000, 429 have no metadata and two are deleted, none of which is among those.
    assert_eq!(
        kinds,
        [
            ("even", vec![(Kind::Boolean, 2569)]),
            ("n", vec![(Kind::Number, 2569)]),
            ("s", vec![(Kind::String, 2569)]),
        ]
    );
    assert_eq!(found(&db, "n BETWEEN 6 AND 10").unwrap(), [6, 9, 10]);
    assert_eq!(
        found(&db, "n IS NULL AND NOT n IS NOT NULL").unwrap().len(),
        429
    );
    // Without metadata there are no tables for it.
    once = PassageTable::unknown(3);
    PassageDb::write(&path("c"), &once).unwrap();
    let bytes = std::fs::read(path("c")).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"metadata"));
}
