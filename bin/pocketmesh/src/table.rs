//! Rows under headings, columns as wide as they need to be.

use std::fmt::Write;

/// A table that is filled and then shown.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings. A heading that starts with `>` is of a column of numbers, aligned to the right.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; a missing cell is empty. Foreign text must have been made fit for one line before.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headings.iter().map(|heading| heading.trim_start_matches('>')).collect();
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| cell(row, column).chars().count());
            cells.max().unwrap_or(0).max(names[column].chars().count())
        };
        let widths: Vec<_> = (0..names.len()).map(width).collect();
        let line = |cells: Vec<String>| {
            let mut line = String::new();
            for (column, text) in cells.iter().enumerate() {
                let (gap, width) = (if column == 0 { "" } else { "  " }, widths[column]);
                // Writing to a string cannot fail.
                let _ = match self.headings[column].starts_with('>') {
                    true => write!(line, "{gap}{text:>width$}"),
                    false => write!(line, "{gap}{text:<width$}"),
                };
            }
            line.trim_end().to_owned()
        };
        writeln!(f, "{}", line(names.iter().map(|name| name.to_uppercase()).collect()))?;
        for row in &self.rows {
            writeln!(f, "{}", line((0..names.len()).map(|column| cell(row, column)).collect()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let mut table = Table::new(&["peer", ">done", "state"]);
        table.row(["a".into(), "7".into(), "active".into()]);
        table.row(["longer".into(), "1234".into()]);
        assert_eq!(table.to_string(), "PEER    DONE  STATE\na          7  active\nlonger  1234\n");
    }
}
