"""Tables, plots and the HTML report: pure functions of result DataFrames."""
