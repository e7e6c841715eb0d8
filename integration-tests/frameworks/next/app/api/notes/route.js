export async function POST(request) {
  const note = await request.json();
  return Response.json({ length: note.text.length }, { status: 201 });
}
