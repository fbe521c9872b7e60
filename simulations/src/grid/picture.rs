//! The grid as a picture: what each mechanism costs, against what it lets pass, at its worst attacker.

use super::row::Row;
use std::{collections::BTreeMap, fmt::Write as _};

/// Colours that people who do not see red or green can tell apart. Source: Okabe and Ito.
const COLOURS: [&str; 8] = ["#0072b2", "#56b4e9", "#009e73", "#7fd3b5", "#d55e00", "#e69f00", "#cc79a7", "#8a5a83"];
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 276.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 62.0;
/// Executions beyond the first: from one in a thousand to thirty.
const X: (f64, f64) = (3e-4, 30.0);
/// Accepted error: what is below is drawn at the edge.
const Y: (f64, f64) = (1e-5, 1.0);

/// A mechanism: for each share of saboteurs what it costs beyond the first execution, and what it lets pass.
type Curve = BTreeMap<u32, (f64, f64)>;

/// Draws the worst attacker of each mechanism and share.
pub fn draw(rows: &[Row], seed: u64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(
        &mut svg,
        (LEFT, 28.0),
        "font-size=\"17\" font-weight=\"600\" fill=\"#111\"",
        "Wrong results accepted, against what checking costs",
    );
    let about = format!(
        "each mechanism at its worst attacker; dots: saboteurs hold 1, 5, 10, 20, 30 % of the seats; simulated, seed {seed}"
    );
    text(&mut svg, (LEFT, 48.0), "fill=\"#666\"", &about);
    axes(&mut svg);
    for (at, ((name, curve), colour)) in curves(rows).iter().zip(COLOURS).enumerate() {
        draw_curve(&mut svg, curve, colour);
        let y = TOP + 14.0 + 26.0 * at as f64;
        put(
            &mut svg,
            &format!(
                "<rect x=\"{}\" y=\"{}\" width=\"18\" height=\"4\" rx=\"2\" fill=\"{colour}\"/>",
                WIDTH - RIGHT + 22.0,
                y - 6.0
            ),
        );
        text(&mut svg, (WIDTH - RIGHT + 48.0, y), "fill=\"#222\"", name);
    }
    let y = TOP + 14.0 + 26.0 * 8.5;
    for (at, line) in [
        "paid executions; voided windows are",
        "done again and cost time, not money.",
        "Open dots: fewer, or none seen.",
    ]
    .iter()
    .enumerate()
    {
        text(&mut svg, (WIDTH - RIGHT + 22.0, y + 16.0 * at as f64), "fill=\"#666\"", line);
    }
    svg.push_str("</svg>\n");
    svg
}

/// By mechanism, as the legend calls it, in the order of the rows; the worst attacker for each share.
fn curves(rows: &[Row]) -> Vec<(String, Curve)> {
    let mut curves: Vec<(String, Curve)> = Vec::new();
    for row in rows.iter().filter(|row| row.n != 100 || row.target.is_none()) {
        let Some(found) = row.found.as_ref().filter(|_| row.mechanism != "own audits") else { continue };
        let name = match row.target {
            Some(target) => format!("ours, n = {}, target {target:e}", row.n),
            None => row.mechanism.clone(),
        };
        let at = curves.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            curves.push((name, Curve::new()));
            curves.len() - 1
        });
        let worst = curves[at].1.entry(row.saboteurs_ppm).or_insert((found.paid - 1.0, found.error));
        if found.error > worst.1 {
            *worst = (found.paid - 1.0, found.error);
        }
    }
    curves
}

fn at((x, y): (f64, f64)) -> (f64, f64) {
    let part = |value: f64, (low, high): (f64, f64)| (value.clamp(low, high) / low).ln() / (high / low).ln();
    (LEFT + part(x, X) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - part(y, Y) * (HEIGHT - TOP - BOTTOM))
}

fn draw_curve(svg: &mut String, curve: &Curve, colour: &str) {
    let points: String = curve.values().map(|&point| at(point)).map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
    put(
        svg,
        &format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-opacity=\"0.7\"/>"
        ),
    );
    for (share, &point) in curve {
        let ((x, y), radius) = (at(point), 2.5 + f64::from(*share) / 1e5);
        let fill = if point.1 < Y.0 { "#fff" } else { colour };
        put(
            svg,
            &format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
            ),
        );
    }
}

fn axes(svg: &mut String) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for power in -5..=0 {
        let (_, y) = at((X.0, 10f64.powi(power)));
        put(svg, &format!("<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e4e4e4\"/>"));
        text(svg, (LEFT - 10.0, y + 4.0), "text-anchor=\"end\"", &power_of_ten(power));
    }
    for power in -3..=1 {
        let (x, _) = at((10f64.powi(power), Y.0));
        put(svg, &format!("<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#e4e4e4\"/>"));
        let label = 1.0 + 10f64.powi(power);
        text(svg, (x, bottom + 20.0), "text-anchor=\"middle\"", &format!("{label}"));
    }
    put(svg, &format!("<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>"));
    let middle = (LEFT + right) / 2.0;
    text(
        svg,
        (middle, bottom + 44.0),
        "text-anchor=\"middle\" fill=\"#666\"",
        "executions per result (logarithm of what is beyond the first)",
    );
    let (x, y) = (22.0, (TOP + bottom) / 2.0);
    let turned = format!("text-anchor=\"middle\" fill=\"#666\" transform=\"rotate(-90 {x} {y})\"");
    text(svg, (x, y), &turned, "wrong among accepted results");
}

fn power_of_ten(power: i32) -> String {
    match power {
        0 => "100 %".into(),
        -1 => "10 %".into(),
        -2 => "1 %".into(),
        -3 => "0.1 %".into(),
        -4 => "0.01 %".into(),
        _ => "0.001 %".into(),
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), style: &str, content: &str) {
    let escaped = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    put(svg, &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{escaped}</text>"));
}

fn put(svg: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(svg, "{line}");
}
