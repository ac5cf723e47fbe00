//! Why the culprits differ: each kind of cause once, the largest share first.

use concord_model::architecture::Operation;
use serde::{Deserialize, Serialize};

use super::alone::Deciding;
use super::culprit::Culprit;
use super::made_batches::Dimension;
use super::masks::MaskPair;
use super::options::{OptionDifference, OptionKind, deciding};
use super::shapes::{ShapePair, Shaped};
use super::share::Share;
use super::ways::{Contrast, Formulas, Orders, other_attention, rounded_otherwise};

/// A reason why modules compute something else on the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What the modules do, each operation once, the largest share first.
    pub operations: Vec<Operation>,
    pub why: Why,
    /// The modules, in the order of computation.
    pub modules: Vec<String>,
    /// The largest number of passages, of those that were watched, for which one of them differs.
    pub passages: usize,
}

/// What was found of a module that computes something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Why {
    /// It gives back what it reads, on these sides.
    CutOut { sides: [bool; 2] },
    /// The options of this side alone cut it out, and what it gives is none of what it reads.
    LeftOut { sides: [bool; 2] },
    /// It disagrees with itself on the same inputs, on these sides.
    Random { sides: [bool; 2] },
    /// The two were given other attention masks.
    OtherMask {
        /// Those of the first passage.
        first: MaskPair,
        /// Whether they were for all passages for which it differs.
        wholly: bool,
    },
    /// The first side, in the second side's batches, differs from itself.
    Shape {
        /// What of the batch decides, where it is one thing.
        dimension: Dimension,
        /// What of it decides, and how.
        deciding: Deciding,
        /// The batches of one passage for which it does.
        shapes: ShapePair,
        /// Whether the second side, in the first side's batches, is then the same as it.
        wholly: bool,
        /// The orders of additions in both shapes, where they are not the same: places in
        /// [`orders`](super::Forced::orders).
        orders: Vec<usize>,
    },
    /// The two round to other precisions.
    Precision {
        a: String,
        b: String,
        /// Whether the first side with the second's precision gives what the second gives; `None` where that was not run,
        /// because the two differ in nothing else or the one cannot have it.
        wholly: Option<bool>,
    },
    /// The two have other implementations of attention.
    Attention { a: String, b: String },
    /// The two add in other orders: places in [`orders`](super::Forced::orders).
    Order { orders: Vec<usize> },
    /// The two compute by other formulas: places in [`formulas`](super::Forced::formulas).
    Formula { formulas: Vec<usize> },
    /// Asked alone, both compute the same, or neither could be asked.
    Unknown,
}

/// Everything that the causes are told by.
struct Evidence<'a> {
    orders: &'a [Orders],
    formulas: &'a [Formulas],
    options: &'a [OptionDifference],
    kinds: Vec<OptionKind>,
    shaped: Option<&'a Shaped>,
}

pub(super) fn causes(
    culprits: &[Culprit],
    shares: &[Share],
    (orders, formulas): (&[Orders], &[Formulas]),
    options: &[OptionDifference],
    shaped: Option<&Shaped>,
) -> Vec<Cause> {
    let evidence = Evidence {
        orders,
        formulas,
        options,
        kinds: deciding(options),
        shaped,
    };
    let mut causes: Vec<Cause> = Vec::new();
    for culprit in culprits {
        for why in evidence.of(culprit) {
            let operation = culprit.operation;
            let alike = |cause: &&mut Cause| {
                cause.why.is_like(&why)
                    && (cause.operations == [operation] || cause.why.spans_operations())
            };
            match causes.iter_mut().find(alike) {
                Some(cause) => {
                    cause.why.add(why);
                    cause.modules.push(culprit.module.clone());
                    cause.passages = cause.passages.max(culprit.passages);
                    if !cause.operations.contains(&operation) {
                        cause.operations.push(operation);
                    }
                }
                None => causes.push(Cause {
                    operations: vec![operation],
                    why,
                    modules: vec![culprit.module.clone()],
                    passages: culprit.passages,
                }),
            }
        }
    }
    let place = |operation: &Operation| {
        shares
            .iter()
            .position(|share| share.operation == *operation)
    };
    for cause in &mut causes {
        cause.operations.sort_by_key(place);
    }
    // What is not known comes after what is: of one operation, and where shares are equal.
    causes.sort_by_key(|cause| {
        let is_unknown = cause.why == Why::Unknown;
        let modules = std::cmp::Reverse(cause.modules.len());
        (
            cause.operations.first().and_then(place),
            is_unknown,
            modules,
        )
    });
    causes
}

impl Evidence<'_> {
    /// The reasons at one module: the shape of its batch, and something else.
    fn of(&self, culprit: &Culprit) -> Vec<Why> {
        let sides = culprit.random;
        if sides != [false; 2] {
            return vec![Why::Random { sides }];
        }
        if culprit.cut_out != [false; 2] {
            let sides = culprit.cut_out;
            return vec![Why::CutOut { sides }];
        }
        if culprit.left_out[0] != culprit.left_out[1] {
            let sides = culprit.left_out;
            return vec![Why::LeftOut { sides }];
        }
        let mut found = Vec::new();
        if let Some(masks) = &culprit.other_masks {
            found.push(Why::OtherMask {
                first: masks.first.clone(),
                wholly: masks.wholly,
            });
            if masks.wholly {
                return found;
            }
        }
        if let (Some(true), Some(shapes), Some(shaped)) =
            (culprit.by_shape, culprit.shapes, self.shaped)
        {
            let deciding = shaped.decided.get(&culprit.module);
            let deciding = deciding.cloned().unwrap_or_else(Deciding::unknown);
            found.push(Why::Shape {
                dimension: deciding.dimension(),
                deciding,
                shapes,
                wholly: !culprit.by_code(),
                orders: self.orders_at(culprit, Contrast::Shapes),
            });
        }
        if culprit.by_code() {
            found.extend(self.rounding(culprit));
            if !rounded_otherwise(culprit, &self.kinds) {
                let why = self.computing(culprit);
                // What is known already is not unknown.
                found.extend((found.is_empty() || why != Why::Unknown).then_some(why));
            }
        }
        found
    }

    /// The precision, where it makes a difference.
    fn rounding(&self, culprit: &Culprit) -> Option<Why> {
        let wholly = match &culprit.by_options {
            None => self
                .kinds
                .contains(&OptionKind::Precision)
                .then_some(None)?,
            Some(found) => {
                let mut found = found.iter();
                let found = found.find(|found| found.kind == OptionKind::Precision)?;
                Some(found.wholly)
            }
        };
        let (a, b) = self.option("precision")?;
        Some(Why::Precision { a, b, wholly })
    }

    /// Whatever else makes a difference.
    fn computing(&self, culprit: &Culprit) -> Why {
        if other_attention(culprit, &self.kinds)
            && let Some((a, b)) = self.option("attention")
        {
            return Why::Attention { a, b };
        }
        let orders = self.orders_at(culprit, Contrast::Sides);
        if !orders.is_empty() {
            return Why::Order { orders };
        }
        let formulas = self.formulas.iter().enumerate().filter(|(_, formulas)| {
            formulas.shared < formulas.samples && formulas.modules.contains(&culprit.module)
        });
        let formulas: Vec<usize> = formulas.map(|(place, _)| place).collect();
        match formulas.is_empty() {
            false => Why::Formula { formulas },
            true => Why::Unknown,
        }
    }

    /// The places of orders that are not the same in both cases, at a culprit.
    fn orders_at(&self, culprit: &Culprit, contrast: Contrast) -> Vec<usize> {
        let orders = self.orders.iter().enumerate();
        let of = orders.filter(|(_, orders)| {
            orders.contrast == contrast
                && !orders.same()
                && orders.modules.contains(&culprit.module)
        });
        of.map(|(place, _)| place).collect()
    }

    /// What both sides have of an option.
    fn option(&self, name: &str) -> Option<(String, String)> {
        let mut options = self.options.iter();
        let found = options.find(|option| option.name == name)?;
        Some((found.a.clone(), found.b.clone()))
    }
}

impl Why {
    /// Whether two modules of one operation have one reason, whatever its orders or formulas are.
    fn is_like(&self, other: &Why) -> bool {
        match (self, other) {
            (
                Why::Shape {
                    deciding, wholly, ..
                },
                Why::Shape {
                    deciding: other,
                    wholly: other_wholly,
                    ..
                },
            ) => deciding == other && wholly == other_wholly,
            (Why::Order { .. }, Why::Order { .. }) | (Why::Formula { .. }, Why::Formula { .. }) => {
                true
            }
            (one, other) => one == other,
        }
    }

    /// Whether it is one reason, whatever its modules do.
    fn spans_operations(&self) -> bool {
        match self {
            Why::CutOut { .. }
            | Why::LeftOut { .. }
            | Why::Random { .. }
            | Why::Shape { .. }
            | Why::Precision { .. } => true,
            Why::OtherMask { .. }
            | Why::Attention { .. }
            | Why::Order { .. }
            | Why::Formula { .. }
            | Why::Unknown => false,
        }
    }

    /// Takes in the orders or formulas of another module.
    fn add(&mut self, other: Why) {
        let (own, more) = match (self, other) {
            (
                Why::Shape { orders, .. } | Why::Order { orders },
                Why::Shape { orders: more, .. },
            )
            | (Why::Order { orders }, Why::Order { orders: more })
            | (Why::Formula { formulas: orders }, Why::Formula { formulas: more }) => {
                (orders, more)
            }
            _ => return,
        };
        for place in more {
            if !own.contains(&place) {
                own.push(place);
            }
        }
    }
}
