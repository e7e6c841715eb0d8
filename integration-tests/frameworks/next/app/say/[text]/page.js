export default async function Say({ params }) {
  const { text } = await params;
  return <p>{decodeURIComponent(text)}</p>;
}
