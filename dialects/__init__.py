"""Other services' wire formats over our own data and paper engine: a dialect is parameters, a query, a document."""
