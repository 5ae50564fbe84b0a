"""TradingView's Universal Data Feed: the charting library reads bars, symbols and quotes from `/udf`."""
