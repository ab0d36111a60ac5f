"""Satellite equipment layout: places the boxes of a BOM on the panels so that they run cool."""
