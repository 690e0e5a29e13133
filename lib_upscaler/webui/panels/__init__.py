"""The widgets that the places on the page are made of."""
