"""Publishes the state of rooms over MQTT 5, with discovery for Home Assistant."""

from mera_edge.sinks.mqtt.sink import MqttSink

__all__ = ["MqttSink"]
