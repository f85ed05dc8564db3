"""States of rooms for a broker (MQTT 5), with what Home Assistant needs to discover them."""

from mera_edge.sinks.mqtt.sink import MqttSink

__all__ = ["MqttSink"]
