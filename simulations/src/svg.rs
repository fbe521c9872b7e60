//! Panels of lines as an SVG: axes, round ticks, labels, a legend. Just enough to look at a run.

use std::fmt::Write as _;

/// One line of a panel.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
}

/// One panel.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Below its x axis.
    pub x: String,
    /// Beside its y axis.
    pub y: String,
    /// Its lines, at most as many as there are colours.
    pub lines: Vec<Line>,
}

/// Colours that people who do not see red or green can tell apart. Source: Okabe and Ito.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 270.0;
const HEAD: f64 = 64.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 48.0;
/// Letters of the line below the headline: what the width has room for.
const ABOUT_MAX: usize = 104;
/// Points of a line: more than pixels show nothing.
const POINTS_MAX: usize = 400;

/// Draws panels one below the other, under a headline.
pub fn draw(headline: &str, about: &str, panels: &[Panel]) -> String {
    let height = HEAD + HEIGHT * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, (LEFT, 28.0), "font-size=\"17\" font-weight=\"600\" fill=\"#111\"", headline);
    let cut = about.chars().count() > ABOUT_MAX;
    let about: String = about.chars().take(ABOUT_MAX).chain(cut.then_some('…')).collect();
    text(&mut svg, (LEFT, 48.0), "fill=\"#666\"", &about);
    for (at, panel) in panels.iter().enumerate() {
        draw_panel(&mut svg, HEAD + HEIGHT * at as f64, panel);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where the values of a panel lie, and where its box is.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    top: f64,
}

impl Frame {
    fn of(panel: &Panel, above: f64) -> Self {
        let points = || panel.lines.iter().flat_map(|line| &line.points);
        let x_max = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
        let x_min = points().map(|point| point.0).fold(x_max, f64::min);
        let y_max = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
        let step = step(y_max);
        Self {
            x: (x_min, x_max.max(x_min + f64::MIN_POSITIVE)),
            y: (0.0, (y_max / step).ceil() * step),
            top: above + TOP,
        }
    }

    fn bottom(&self) -> f64 {
        self.top + HEIGHT - TOP - BOTTOM
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (y - self.y.0) / (self.y.1 - self.y.0);
        (LEFT + across * (WIDTH - LEFT - RIGHT), self.bottom() - up * (self.bottom() - self.top))
    }
}

fn draw_panel(svg: &mut String, above: f64, panel: &Panel) {
    let frame = Frame::of(panel, above);
    text(svg, (LEFT, above + 18.0), "font-weight=\"600\" font-size=\"13\"", &panel.title);
    grid(svg, &frame);
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    text(svg, (middle, frame.bottom() + 36.0), "text-anchor=\"middle\" fill=\"#666\"", &panel.x);
    let (x, y) = (18.0, (frame.top + frame.bottom()) / 2.0);
    let turned = format!("text-anchor=\"middle\" fill=\"#666\" transform=\"rotate(-90 {x} {y})\"");
    text(svg, (x, y), &turned, &panel.y);
    let mut legend = LEFT;
    for (line, colour) in panel.lines.iter().zip(COLOURS) {
        let path: String =
            thinned(&line.points).map(|point| frame.at(point)).map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
        put(
            svg,
            &format!(
                "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>"
            ),
        );
        let y = above + 34.0;
        put(
            svg,
            &format!(
                "<rect x=\"{legend:.1}\" y=\"{:.1}\" width=\"14\" height=\"3\" rx=\"1.5\" fill=\"{colour}\"/>",
                y - 5.0
            ),
        );
        text(svg, (legend + 19.0, y), "fill=\"#444\"", &line.name);
        legend += 19.0 + 16.0 + 6.6 * line.name.chars().count() as f64;
    }
}

fn grid(svg: &mut String, frame: &Frame) {
    for y in ticks(frame.y) {
        let (_, v) = frame.at((frame.x.0, y));
        put(
            svg,
            &format!("<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{v:.1}\" y2=\"{v:.1}\" stroke=\"#e4e4e4\"/>", WIDTH - RIGHT),
        );
        text(svg, (LEFT - 8.0, v + 4.0), "text-anchor=\"end\"", &short(y));
    }
    for x in ticks(frame.x) {
        let (h, _) = frame.at((x, frame.y.0));
        let bottom = frame.bottom();
        put(
            svg,
            &format!("<line x1=\"{h:.1}\" x2=\"{h:.1}\" y1=\"{bottom}\" y2=\"{}\" stroke=\"#999\"/>", bottom + 4.0),
        );
        text(svg, (h, bottom + 18.0), "text-anchor=\"middle\"", &short(x));
    }
    let bottom = frame.bottom();
    put(
        svg,
        &format!("<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"#999\"/>", WIDTH - RIGHT),
    );
}

/// Every so many points, so that a line has no more than people see; the last is kept.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let every = points.len().div_ceil(POINTS_MAX).max(1);
    points.iter().step_by(every).chain(points.last()).copied()
}

/// A round distance between ticks: 1, 2 or 5 times a power of ten, four to eight of them up to `most`.
fn step(most: f64) -> f64 {
    let power = 10f64.powf((most / 5.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| most / step <= 6.0).unwrap_or(power)
}

fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let step = step(high - low);
    let first = (low / step).ceil() as i64;
    (first..first + 16).map(|tick| tick as f64 * step).take_while(|&tick| tick <= high * (1.0 + 1e-9)).collect()
}

/// A tick as people read it.
fn short(value: f64) -> String {
    let plain = |value: f64, unit: &str| {
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{}{unit}", if text.is_empty() { "0" } else { text })
    };
    match value.abs() {
        v if v >= 1e9 => plain(value / 1e9, "G"),
        v if v >= 1e6 => plain(value / 1e6, "M"),
        v if v >= 1e4 => plain(value / 1e3, "k"),
        v if v >= 0.01 || v == 0.0 => plain(value, ""),
        _ => format!("{value:.0e}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks((0.0, 50.0)), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(ticks((0.0, 1.2)).len(), 7);
        assert_eq!([short(0.0), short(12_000.0), short(2.5e6), short(0.4)], ["0", "12k", "2.5M", "0.4"]);
    }

    #[test]
    fn a_panel_shows_its_lines_and_names_and_escapes_what_it_must() {
        let line = Line { name: "a<b".into(), points: vec![(0.0, 1.0), (1.0, 3.0)] };
        let panel = Panel { title: "t".into(), x: "s".into(), y: "n".into(), lines: vec![line] };
        let svg = draw("headline", "about", &[panel]);
        assert!(svg.contains("a&lt;b") && svg.contains("<polyline") && svg.ends_with("</svg>\n"));
    }
}
