"""A Gradio application, as its documentation writes it."""

import gradio as gr


def greet(name):
    return "Hello " + name + "!"


def count(to):
    yield from range(1, int(to) + 1)


def size(file):
    with open(file, "rb") as opened:
        return len(opened.read())


with gr.Blocks(title="Greeter") as demo:
    name, number, file = gr.Textbox(label="Name"), gr.Number(label="Number"), gr.File(label="File")
    gr.Button("Greet").click(greet, name, gr.Textbox(), api_name="greet")
    gr.Button("Count").click(count, number, gr.Number(), api_name="count")
    gr.Button("Size").click(size, file, gr.Number(), api_name="size")

demo.launch()
