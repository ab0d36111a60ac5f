"""The protocol documents of Engine.IO and Socket.IO, sentence by sentence, on both ways out."""
