//! Prints tables: a line for each load, with the ratios between daemons: the median, the
//! minimum and the maximum of all rounds.

use super::contestant::Sample;

/// The samples of all rounds of one contestant.
pub type Samples = Vec<Sample>;

/// A ratio with its spread.
struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

/// Prints a heading, and the names of the columns.
pub fn heading(title: &str, names: &[String]) {
    println!("\n{title}");
    let mut line = format!("{:38}", "");
    for name in names {
        line += &format!("{name:>14}");
    }
    for name in &names[1..] {
        line += &format!("{:>24}", format!("{} : {name}", names[0]));
    }
    println!("{line}");
}

/// Prints one line: the medians of `value`, then the ratios of the first
/// contestant to each of the others.
pub fn line<T>(title: &str, columns: &[Vec<T>], value: impl Fn(&T) -> f64) {
    let columns: Vec<Vec<f64>> = columns
        .iter()
        .map(|samples| samples.iter().map(&value).collect())
        .collect();
    let mut line = format!("{title:38}");
    for values in &columns {
        line += &format!("{:>14}", number(median(values.clone())));
    }
    for values in columns.iter().skip(1) {
        let ratio = Ratio::of(&columns[0], values);
        let (median, least, most) = (ratio.median, ratio.least, ratio.most);
        line += &format!("{:>24}", format!("{median:.2} ({least:.2}..{most:.2})"));
    }
    println!("{line}");
}

impl Ratio {
    fn of(ours: &[f64], others: &[f64]) -> Ratio {
        let ratios: Vec<f64> = ours.iter().zip(others).map(|(a, b)| a / b).collect();
        Ratio {
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
            median: median(ratios),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Formats a number with three digits.
fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
